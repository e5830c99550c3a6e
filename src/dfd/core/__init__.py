"""What every part needs: errors for users, whole files or none, devices, data inside packages."""

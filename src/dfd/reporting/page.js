const root = document.documentElement, theme = document.getElementById("theme");
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.onclick = () => { root.dataset.theme = dark() ? "light" : "dark"; label(); };
label();
for (const button of document.querySelectorAll("[data-filter]")) button.onclick = () => {
  for (const other of button.parentNode.children) other.setAttribute("aria-pressed", other === button);
  const verdict = button.dataset.filter;
  for (const row of document.querySelectorAll("[data-verdict]")) row.hidden = Boolean(verdict) && row.dataset.verdict !== verdict;
};

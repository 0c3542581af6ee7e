// Light or dark: as the system says, unless the person has chosen. Loaded before anything is drawn,
// so that no page is ever shown in the wrong one.
(() => {
  "use strict";
  const NAME = "chuk-theme";
  const WORDS = { auto: "As the system", light: "Light", dark: "Dark" };
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const root = document.documentElement;

  const chosen = () => {
    try {
      const kept = localStorage.getItem(NAME);
      return kept in NEXT ? kept : "auto";
    } catch {
      return "auto"; // A browser may refuse to keep anything.
    }
  };

  const show = (theme) => {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
    const button = document.getElementById("theme");
    if (button === null) return;
    button.dataset.shows = theme;
    button.setAttribute("aria-label", `Colours: ${WORDS[theme]}. Change`);
    button.title = `Colours: ${WORDS[theme]}`;
  };

  show(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    show(chosen());
    document.getElementById("theme")?.addEventListener("click", () => {
      const theme = NEXT[chosen()];
      try {
        localStorage.setItem(NAME, theme);
      } catch {
        root.dataset.themeUnkept = "";
      }
      show(theme);
    });
  });
})();

/** Light, dark, or what the system says. */

export type Theme = "system" | "light" | "dark";

const STORED = "gems.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

export function chosenTheme(): Theme {
  const stored = window.localStorage.getItem(STORED);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

/** Changes to the next theme, remembers it and returns it. */
export function cycleTheme(theme: Theme): Theme {
  const next = NEXT[theme];
  window.localStorage.setItem(STORED, next);
  applyTheme(next);
  return next;
}

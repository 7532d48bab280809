import { useState } from "react";

import { Icon } from "./Icon";
import { chosenTheme, cycleTheme } from "./theme";
import type { Theme } from "./theme";

const ICONS = { system: "auto", light: "sun", dark: "moon" } as const;

export function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(chosenTheme);
  return (
    <button
      type="button"
      className="quiet icon-only"
      aria-label="Theme"
      aria-description={theme}
      title={`Theme: ${theme}`}
      onClick={() => setTheme(cycleTheme(theme))}
    >
      <Icon name={ICONS[theme]} />
    </button>
  );
}

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { applyTheme, chosenTheme } from "./parts/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/create.css";
import "./styles/dialogs.css";
import "./styles/browse.css";

applyTheme(chosenTheme());

const root = document.getElementById("page");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}

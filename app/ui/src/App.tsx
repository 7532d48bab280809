import { useCallback, useEffect, useRef, useState } from "react";

import { MemoryView } from "./browse/MemoryView";
import { SkillsView } from "./browse/SkillsView";
import type { Typed } from "./create/Composer";
import { CreateView } from "./create/CreateView";
import { Icon } from "./parts/Icon";
import { LoginDialog } from "./parts/LoginDialog";
import { ThemeButton } from "./parts/ThemeButton";
import { useRoute } from "./route";
import { forgetKey, onRefused, storedKey } from "./server";

const VIEWS = [
  { view: "create", label: "Create", href: "#/" },
  { view: "skills", label: "Skills", href: "#/skills" },
  { view: "memory", label: "Memory", href: "#/memory" },
] as const;

export function App() {
  const [route, goTo] = useRoute();
  const [refusal, setRefusal] = useState<string | null>(null);
  // A new key means another caller: everything is asked for anew.
  const [session, setSession] = useState(0);
  const typed = useRef<Typed>({ prompt: "", entered: {} });

  useEffect(() => onRefused(setRefusal), []);

  const renew = useCallback(() => {
    setRefusal(null);
    setSession((number) => number + 1);
  }, []);

  return (
    <>
      <a
        className="skip"
        href={route.view === "create" ? "#result" : "#main"}
        onClick={(event) => {
          event.preventDefault();
          (document.getElementById("result") ?? document.querySelector("main"))?.focus();
        }}
      >
        {route.view === "create" ? "Skip to the image" : "Skip to the list"}
      </a>
      <header className="top">
        <h1>
          <a href="#/">GEMS</a>
        </h1>
        <nav aria-label="Views">
          {VIEWS.map(({ view, label, href }) => (
            <a key={view} href={href} aria-current={route.view === view ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <div className="top-end">
          {route.view === "create" && refusal === null && (
            <button
              type="button"
              className="quiet icon-only narrow-only"
              aria-label="Show threads"
              onClick={() => document.getElementById("threads")?.focus()}
            >
              <Icon name="list" />
            </button>
          )}
          {storedKey() !== null && (
            <button
              type="button"
              className="quiet"
              onClick={() => {
                forgetKey();
                typed.current = { prompt: "", entered: {} };
                renew();
              }}
            >
              Log out
            </button>
          )}
          <ThemeButton />
        </div>
      </header>
      {refusal !== null ? (
        <main id="main" tabIndex={-1}>
          <LoginDialog detail={refusal} onKey={renew} />
        </main>
      ) : (
        <>
          {route.view === "create" && (
            <CreateView
              key={session}
              thread={route.thread}
              onThread={goTo}
              typed={typed.current}
            />
          )}
          {route.view === "skills" && <SkillsView key={session} />}
          {route.view === "memory" && <MemoryView key={session} />}
        </>
      )}
    </>
  );
}

import { useState } from "react";
import type { FormEvent } from "react";

import { storeKey, storedKey } from "../server";
import { Modal } from "./Modal";

interface Props {
  /** What the server said when it refused. */
  detail: string;
  onKey: () => void;
}

export function LoginDialog({ detail, onKey }: Props) {
  const [key, setKey] = useState("");
  const refused = storedKey() !== null;

  function submit(event: FormEvent) {
    event.preventDefault();
    storeKey(key.trim());
    onKey();
  }

  return (
    <Modal title="Log in">
      <form className="stack" onSubmit={submit}>
        {refused ? (
          <p role="alert" className="field-problem">
            {detail}
          </p>
        ) : (
          <p>This server wants to know who calls. {detail.includes("gems keys") ? detail : ""}</p>
        )}
        <div className="field">
          <label htmlFor="key">API key</label>
          <input
            id="key"
            type="password"
            autoComplete="off"
            spellCheck={false}
            required
            value={key}
            onChange={(event) => setKey(event.target.value)}
          />
          <p className="help">
            It stays in this tab and is forgotten when you close it. Keys come from the operator:
            gems keys new NAME.
          </p>
        </div>
        <div className="actions">
          <button type="submit" className="primary" disabled={key.trim() === ""}>
            Log in
          </button>
        </div>
      </form>
    </Modal>
  );
}

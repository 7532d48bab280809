import { useId, useLayoutEffect, useRef } from "react";
import type { ReactNode } from "react";

import { Icon } from "./Icon";

interface Props {
  title: string;
  wide?: boolean;
  /** Left out where the dialog can't be closed without an answer. */
  onClose?: () => void;
  children: ReactNode;
}

/** A `<dialog>`: the browser keeps the focus in it, closes it with Escape and gives it back. */
export function Modal({ title, wide = false, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();

  // Before the dialog leaves the document: one that has left can't give the focus back.
  useLayoutEffect(() => {
    const shown = dialog.current;
    if (shown !== null && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);

  return (
    <dialog
      ref={dialog}
      className={wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose?.();
      }}
    >
      <div className="dialog-body">
        <header className="dialog-head">
          <h2 id={id}>{title}</h2>
          {onClose !== undefined && (
            <button type="button" className="quiet icon-only" aria-label="Close" onClick={onClose}>
              <Icon name="close" />
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}

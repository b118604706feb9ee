/** What one can do in a call: mute, type, choose devices, hang up. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Call } from "../call";
import * as icons from "./icons";

export function Controls({ call, children }: { call: Call; children: ComponentChildren }) {
  const first = useRef<HTMLButtonElement>(null);
  const line = useRef<HTMLInputElement>(null);
  const { muted, listening, phase } = call;
  const live = phase === "live";
  // The button that was pressed is gone, and with it the focus of who uses a keyboard.
  useEffect(() => first.current?.focus({ preventScroll: true }), []);
  const say = (event: Event) => {
    event.preventDefault();
    const text = line.current?.value.trim();
    if (!line.current || !text || !live) return;
    call.type(text);
    line.current.value = "";
  };
  return (
    <footer class="controls">
      {call.trouble && (
        <p class="hint" role="alert">
          {call.trouble.title}. {call.trouble.advice}
        </p>
      )}
      <div class="bar">
        <button
          type="button"
          class="round mute"
          aria-pressed={muted}
          aria-keyshortcuts="Space"
          aria-label="Mute"
          title={muted ? "Unmute (space)" : "Mute (space)"}
          disabled={!listening}
          onClick={() => call.mute(!muted)}
          ref={first}
        >
          {muted || !listening ? icons.muted : icons.microphone}
        </button>
        <form class="type" onSubmit={say}>
          <input
            ref={line}
            aria-label="Type instead of speaking"
            placeholder={live ? "Type a message" : "One moment…"}
            autocomplete="off"
            enterkeyhint="send"
            maxLength={4000}
          />
          <button type="submit" aria-label="Send" title="Send" disabled={!live}>
            {icons.send}
          </button>
        </form>
        {children}
        <button
          type="button"
          class="round hang-up"
          aria-keyshortcuts="Escape"
          aria-label="Hang up"
          title="Hang up (Esc)"
          onClick={() => call.hangUp()}
        >
          {icons.hangUp}
        </button>
      </div>
    </footer>
  );
}

/** The icons of the buttons, drawn in the color of their text. */

const draw = (path: string) => (
  <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
    <path
      d={path}
      fill="none"
      stroke="currentColor"
      stroke-width="1.75"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  </svg>
);

const MICROPHONE =
  "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M6 11a6 6 0 0 0 12 0M12 17v4";

export const microphone = draw(MICROPHONE);
export const muted = draw(
  "M9 9v3a3 3 0 0 0 4.6 2.5M15 11V6a3 3 0 0 0-5.7-1.3M6 11a6 6 0 0 0 9.5 4.9M18 11a6 6 0 0 1-.4 2.2M12 17v4M4 4l16 16",
);
export const hangUp = (
  <svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" fill="currentColor">
    <path d="M2.5 14.3c0-1.4.6-2.3 1.6-3.1 2.2-1.7 4.9-2.5 7.9-2.5s5.7.8 7.9 2.5c1 .8 1.6 1.7 1.6 3.1 0 1-.6 1.7-1.5 1.6l-2.6-.4c-.8-.1-1.3-.7-1.4-1.5l-.2-1.5a12 12 0 0 0-7.6 0L8 14c-.1.8-.6 1.4-1.4 1.5l-2.6.4c-.9.1-1.5-.6-1.5-1.6" />
  </svg>
);
export const send = draw("M5 12h14M13 6l6 6-6 6");
export const settings = draw("M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4");
export const close = draw("M6 6l12 12M18 6L6 18");

/** The button of a call in a page of another site. A click loads the call, and starts it. */

import css from "./button.css?inline";
import type { Panel } from "./panel";

/** Returns an invite, or a JWT of a user who has signed in. */
type Credential = () => string | Promise<string>;

/** An invite, or a JWT. A key has no dots. */
const FOR_BROWSERS = /^[\w-]+(\.[\w-]+){2,3}$/;

const SVG = "http://www.w3.org/2000/svg";
const MICROPHONE =
  "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M6 11a6 6 0 0 0 12 0M12 17v4";

/** `<voice-call>`, which this script adds to the page, with the script's `data-` attributes. */
export class VoiceCall extends HTMLElement {
  /** Where calls get their credential; without it, from `data-invite`. */
  credential: Credential = () => this.dataset.invite ?? "";

  readonly #root = this.attachShadow({ mode: "open" });
  readonly #button = document.createElement("button");
  readonly #label = document.createElement("span");
  readonly #alert = document.createElement("p");
  #panel: Promise<Panel> | undefined;

  /** Make the button, in a shadow root that neither the page's styles nor its keys reach. */
  constructor() {
    super();
    const style = new CSSStyleSheet();
    style.replaceSync(css);
    this.#root.adoptedStyleSheets = [style];
    this.#button.type = "button";
    this.#button.onclick = () => this.start();
    this.#button.append(microphone(), this.#label);
    this.#alert.role = "alert";
    this.#root.append(this.#alert, this.#button);
    for (const type of ["keydown", "keypress", "keyup"]) {
      this.#root.addEventListener(type, (event) => event.stopPropagation());
    }
  }

  connectedCallback(): void {
    this.#label.textContent = this.#text;
    // At once, not only for the visitor who clicks.
    if (this.dataset.invite) this.checkedCredential().catch(tell);
  }

  disconnectedCallback(): void {
    this.hangUp();
  }

  /** Call the agent. Do this on a click, or the browser keeps the call silent. */
  start(silent = false): void {
    // In the click itself: Safari keeps a context silent that is made after an `await`.
    const context = new AudioContext({ latencyHint: "interactive" });
    void context.resume();
    void this.#start(context, silent);
  }

  hangUp(): void {
    this.#panel?.then((panel) => panel.hangUp()).catch(() => {});
  }

  /** Show the button instead of the call. */
  showButton(): void {
    this.#button.hidden = false;
    this.#button.focus();
  }

  /** Return the credential for a call. Throws an error for the page's developer. */
  async checkedCredential(): Promise<string> {
    const credential = await this.credential();
    if (credential ? FOR_BROWSERS.test(credential) : this.dataset.startUrl) return credential;
    if (!credential) throw new Error("Set data-start-url, data-invite or its property credential.");
    throw new Error(
      "This credential is neither an invite nor a JWT. If it is SESSION_API_KEY, everyone can " +
        "read it here: replace it on the server, and set data-start-url instead.",
    );
  }

  async #start(context: AudioContext, silent: boolean): Promise<void> {
    this.#alert.textContent = "";
    this.#label.textContent = "Connecting…";
    try {
      this.#panel ??= import("./panel").then(({ Panel }) => new Panel(this, this.#root));
      this.#button.hidden = await (await this.#panel).start(context, silent);
    } catch (error) {
      tell(error);
      this.#panel = undefined;
      void context.close();
      const [title, advice] = ["The call could not be loaded", "Try again, or reload the page."];
      const detail = { code: "load_failed", title, advice };
      this.#alert.textContent = `${title}. ${advice}`;
      this.dispatchEvent(new CustomEvent("voice-error", { bubbles: true, detail }));
    }
    this.#label.textContent = this.#text;
  }

  get #text(): string {
    return this.dataset.label ?? "Talk to us";
  }
}

function tell(error: unknown): void {
  console.error(`voice.js: ${error instanceof Error ? error.message : error}`);
}

/** Draw a microphone, without HTML in a string: pages with Trusted Types refuse it. */
function microphone(): SVGElement {
  const [svg, path] = ["svg", "path"].map((name) => document.createElementNS(SVG, name)) as [
    SVGElement,
    SVGElement,
  ];
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.ariaHidden = "true";
  path.setAttribute("d", MICROPHONE);
  svg.append(path);
  return svg;
}

customElements.define("voice-call", VoiceCall);
const call = document.createElement("voice-call");
const script = [...document.scripts].find(({ src }) => src === import.meta.url);
Object.assign(call.dataset, script?.dataset);
(document.body ?? document.documentElement).append(call);

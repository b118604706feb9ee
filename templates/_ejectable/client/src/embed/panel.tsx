/** The call in a page of another site: what the button opens. */

import { render } from "preact";
import { Call } from "../call";
import { handleKey } from "../keys";
import css from "../page.css?inline";
import { type Problem, problemFrom } from "../problem";
import { Server, ServerUnreachable, SetupError, type TransportName } from "../server";
import { Controls } from "../view/controls";
import { close } from "../view/icons";
import { ProblemMessage } from "../view/problem";
import { StartButton } from "../view/screen";
import { DeviceChoices, SettingsMenu } from "../view/settings";
import { Status } from "../view/status";
import { Transcript } from "../view/transcript";
import { Waveform } from "../view/waveform";
import { Events } from "./events";
import panelCss from "./panel.css?inline";
import type { VoiceCall } from "./voice";

/** Transports of calls that stay in the page; Daily's has a page of its own. */
const IN_THE_PAGE: TransportName[] = ["websocket", "webrtc"];

export class Panel {
  readonly #element: VoiceCall;
  readonly #root: ShadowRoot;
  readonly #view = document.createElement("div");
  readonly #server: Server;
  readonly #call: Call;
  readonly #events: Events;
  #transport: TransportName | undefined;
  #title = "";
  /** What failed before the call. */
  #problem: Problem | undefined;
  #open = false;
  /** False after a hang-up, which may come before the call. */
  #wanted = false;

  constructor(element: VoiceCall, root: ShadowRoot) {
    this.#element = element;
    this.#root = root;
    this.#events = new Events(element);
    this.#server = serverOf(element);
    this.#call = new Call(this.#server, () => this.#onChange());
    const style = new CSSStyleSheet();
    // A rem is a length of the page's.
    style.replaceSync((css + panelCss).replace(/([\d.]+)rem\b/g, (_, n) => `${16 * Number(n)}px`));
    root.adoptedStyleSheets.push(style);
    this.#view.className = "voice";
    this.#view.lang = "en";
    this.#view.tabIndex = -1;
    this.#view.addEventListener("keydown", (event) => this.#onKey(event));
    root.append(this.#view);
  }

  /** Open the panel with a call, or with what prevents it. Returns whether it is open. */
  async start(context: AudioContext, silent: boolean): Promise<boolean> {
    this.#wanted = true;
    this.#problem = undefined;
    try {
      this.#transport ??= await this.#chooseTransport();
    } catch (error) {
      this.#problem = problemFrom(error);
      this.#events.failed(this.#problem);
    }
    this.#open ||= this.#wanted;
    if (!this.#wanted || !this.#transport || this.#call.active) void context.close();
    else void this.#call.start(this.#transport, silent, context);
    this.#show();
    return this.#open;
  }

  hangUp(): void {
    this.#wanted = false;
    this.#call.hangUp();
  }

  async #chooseTransport(): Promise<TransportName> {
    const { project, transports } = await this.#server
      .config()
      .catch((error) => this.#diagnose(error));
    this.#title = project;
    const transport = transports.find((name) => IN_THE_PAGE.includes(name));
    if (transport) return transport;
    throw new SetupError(`This agent has none of the transports ${IN_THE_PAGE.join(", ")}.`);
  }

  /** Browsers do not tell whether a server was away, or does not allow this page. */
  async #diagnose(error: unknown): Promise<never> {
    if (!(error instanceof ServerUnreachable)) throw error;
    const isThere = await fetch(new URL("voice.js", this.#server.url), { cache: "no-store" }).then(
      (response) => response.ok,
      () => false,
    );
    if (!isThere) throw error;
    throw new SetupError(
      `${new URL(this.#server.url).origin} takes no calls from pages of ${location.origin}. ` +
        `Add ${location.origin} to ALLOWED_ORIGINS in server/.env, and restart or deploy the server.`,
    );
  }

  #onChange(): void {
    const { problem } = this.#call;
    if (problem?.remedy === "key") {
      const error = new SetupError(`The credential for a call was refused: ${problem.code}.`);
      this.#call.problem = { ...problemFrom(error), code: problem.code };
    }
    this.#events.report(this.#call);
    this.#show();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === "Escape" && !this.#call.active) this.#close();
    else handleKey(this.#call, event);
    if (this.#open && !this.#root.activeElement) this.#view.focus(); // so that the next key is ours
  }

  #close(): void {
    this.#open = false;
    this.#show();
    this.#element.showButton();
  }

  #show(): void {
    render(this.#open ? this.#window() : null, this.#view);
  }

  #window() {
    const call = this.#call;
    const { active, conversation, ended } = call;
    const problem = this.#problem ?? call.problem;
    return (
      <section class="window" aria-label="Call">
        <div class={active ? "screen in-call" : "screen ended"}>
          <header>
            <h2>{this.#title}</h2>
            <Status call={call} transport={this.#transport ?? "websocket"} details={false} />
            {!active && (
              <button
                type="button"
                class="round close"
                aria-label="Close"
                title="Close (Esc)"
                onClick={() => this.#close()}
              >
                {close}
              </button>
            )}
          </header>
          {active && <Waveform call={call} />}
          <Transcript conversation={conversation} active={active} details={false} />
          {!active && (
            <div class="welcome">
              {problem && (
                <ProblemMessage problem={problem} startSilently={() => this.#element.start(true)} />
              )}
              <StartButton problem={problem} again={ended} start={() => this.#element.start()} />
            </div>
          )}
          {active && (
            <Controls call={call}>
              <SettingsMenu>
                <DeviceChoices call={call} />
              </SettingsMenu>
            </Controls>
          )}
        </div>
      </section>
    );
  }
}

/** Return the server of this script; `data-start-url` names the one that starts sessions. */
function serverOf(element: VoiceCall): Server {
  const credential = () =>
    element.checkedCredential().catch((error: Error) => {
      throw new SetupError(error.message);
    });
  const { startUrl } = element.dataset;
  const start = startUrl && new URL(startUrl, document.baseURI).href;
  // Ignored by Vite, which would take the folder for a file to bundle.
  return new Server(new URL(/* @vite-ignore */ ".", import.meta.url).href, credential, start);
}

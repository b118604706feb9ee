/** The settings of a call: transport, microphone, speaker. */

import type { ComponentChildren } from "preact";
import { CAN_CHOOSE_SPEAKER } from "../audio/call-audio";
import type { Call } from "../call";
import type { Device } from "../devices";
import type { Config, TransportName } from "../server";
import * as icons from "./icons";
import { TITLES } from "./status";

interface Properties {
  call: Call;
  config: Config | undefined;
  transport: TransportName;
  choose(name: TransportName): void;
  details: boolean;
  chooseDetails(shown: boolean): void;
}

export function Settings(properties: Properties) {
  const { call, config, transport, choose, details, chooseDetails } = properties;
  const transports = config?.transports ?? [];
  return (
    <SettingsMenu>
      {transports.length > 1 && (
        <fieldset disabled={call.active}>
          <legend>Connection</legend>
          <div class="choices">
            {transports.map((name) => (
              <label key={name}>
                <input
                  type="radio"
                  name="transport"
                  checked={name === transport}
                  onChange={() => choose(name)}
                />
                <span>{TITLES[name]}</span>
              </label>
            ))}
          </div>
        </fieldset>
      )}
      <DeviceChoices call={call} />
      <label class="switch">
        <input
          type="checkbox"
          checked={details}
          onChange={(event) => chooseDetails(event.currentTarget.checked)}
        />
        <span>Show tool calls and latency</span>
      </label>
    </SettingsMenu>
  );
}

export function SettingsMenu({ children }: { children: ComponentChildren }) {
  return (
    <details class="settings">
      <summary title="Settings">
        {icons.settings}
        <span>Settings</span>
      </summary>
      <div class="panel">{children}</div>
    </details>
  );
}

export function DeviceChoices({ call }: { call: Call }) {
  const { microphones, speakers } = call.devices;
  return (
    <>
      <DeviceChoice
        title="Microphone"
        devices={microphones}
        chosen={call.chosen.microphone}
        choose={(id) => void call.useMicrophone(id)}
      />
      {CAN_CHOOSE_SPEAKER && (
        <DeviceChoice
          title="Speaker"
          devices={speakers}
          chosen={call.chosen.speaker}
          choose={(id) => void call.useSpeaker(id)}
        />
      )}
    </>
  );
}

interface DeviceChoiceProperties {
  title: string;
  devices: Device[];
  chosen: string;
  choose(id: string): void;
}

function DeviceChoice({ title, devices, chosen, choose }: DeviceChoiceProperties) {
  return (
    <label class="choice">
      <span>{title}</span>
      <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">System default</option>
        {devices.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Microphones and speakers that this machine has. */

export interface Device {
  id: string;
  name: string;
}

export interface Devices {
  microphones: Device[];
  speakers: Device[];
}

/** All there are; without names until the microphone was lent to the page once. */
export async function devices(): Promise<Devices> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const named = (kind: MediaDeviceKind): Device[] =>
    all
      .filter((device) => device.kind === kind && device.label && device.deviceId !== "default")
      .map(({ deviceId: id, label: name }) => ({ id, name }));
  return { microphones: named("audioinput"), speakers: named("audiooutput") };
}

/** The microphones and speakers of this machine. */

export interface Device {
  id: string;
  name: string;
}

export interface Devices {
  microphones: Device[];
  speakers: Device[];
}

/** List the devices. Browsers name none until the user has allowed the microphone once. */
export async function listDevices(): Promise<Devices> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const named = (kind: MediaDeviceKind): Device[] =>
    all
      .filter((device) => device.kind === kind && device.label && device.deviceId !== "default")
      .map(({ deviceId: id, label: name }) => ({ id, name }));
  return { microphones: named("audioinput"), speakers: named("audiooutput") };
}

/** Return true if a chosen device is no longer there; "", the system default, always is. */
export function isGone(chosen: string, devices: Device[]): boolean {
  return chosen !== "" && !devices.some((device) => device.id === chosen);
}

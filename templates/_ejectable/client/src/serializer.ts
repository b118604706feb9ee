/** Decodes Pipecat's protobuf frames in the order of their arrival. */

import { ProtobufFrameSerializer } from "@pipecat-ai/websocket-transport";

/** Field numbers of Frame and of AudioRawFrame in Pipecat's frames.proto. */
const AUDIO = 2;
const MESSAGE = 4;
const INTERRUPTION = 5;
const AUDIO_PCM = 3;
const AUDIO_RATE = 4;
const AUDIO_CHANNELS = 5;
const MESSAGE_DATA = 1;

type Decoded = Awaited<ReturnType<ProtobufFrameSerializer["deserialize"]>>;
type Fields = Map<number, Uint8Array | number>;

/** Handlers of what Pipecat's own serializer drops: the sample rate, and interruptions. */
export interface FrameHandlers {
  onAudio(pcm: Int16Array, rate: number): void;
  onInterruption(): void;
}

export class OrderedSerializer extends ProtobufFrameSerializer {
  #previous: Promise<unknown> = Promise.resolve();

  constructor(readonly handlers: FrameHandlers) {
    super();
  }

  override deserialize(data: Blob): Promise<Decoded> {
    // The browser may read a small blob before a large one that came first.
    const bytes = data.arrayBuffer();
    const decoded = this.#previous.then(async () => this.#decode(new Uint8Array(await bytes)));
    this.#previous = decoded.catch(() => {});
    return decoded;
  }

  #decode(bytes: Uint8Array): Decoded {
    const frame = fieldsOf(bytes);
    const message = frame.get(MESSAGE);
    if (message instanceof Uint8Array) {
      const text = fieldsOf(message).get(MESSAGE_DATA);
      return { type: "message", message: JSON.parse(new TextDecoder().decode(bytesOf(text))) };
    }
    const audio = frame.get(AUDIO);
    if (audio instanceof Uint8Array) {
      const fields = fieldsOf(audio);
      const pcm = samplesOf(
        bytesOf(fields.get(AUDIO_PCM)),
        Number(fields.get(AUDIO_CHANNELS) || 1),
      );
      this.handlers.onAudio(pcm, Number(fields.get(AUDIO_RATE)));
    }
    if (frame.has(INTERRUPTION)) this.handlers.onInterruption();
    return { type: "audio", audio: new Int16Array() }; // the handler has played it
  }
}

/** Return the first channel of interleaved little-endian samples, in a buffer of its own. */
function samplesOf(bytes: Uint8Array, channels: number): Int16Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pcm = new Int16Array(Math.floor(bytes.byteLength / 2 / channels));
  for (let index = 0; index < pcm.length; index++) {
    pcm[index] = view.getInt16(2 * channels * index, true);
  }
  return pcm;
}

function bytesOf(value: Uint8Array | number | undefined): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array();
}

/** Return the fields of a message by number. Pipecat's frames contain only varints and bytes. */
function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[position++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (position < bytes.length) {
    const tag = varint();
    if ((tag & 7) === 0) fields.set(tag >>> 3, varint());
    else if ((tag & 7) === 2) {
      const length = varint();
      fields.set(tag >>> 3, bytes.subarray(position, position + length));
      position += length;
    } else throw new Error("Not a Pipecat frame.");
  }
  return fields;
}

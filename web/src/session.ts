// One session with a host: the peer connection, its channels, and its way back after the network was gone.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type ControlMessage,
  ControlMessageSchema,
  type CursorMessage,
  CursorMessageSchema,
  type Ended,
  EndReason,
  InputMessageSchema,
  PointerMessageSchema,
  type Session as SessionMessage,
  type StatsMessage,
  StatsMessageSchema,
} from "./gen/farpane_pb";
import type { Meeting } from "./signal";

export interface SessionHandlers {
  /** The first frame is there. */
  picture(): void;
  /** Something came over the control channel. */
  control(message: ControlMessage): void;
  /** The control channel can be written to. */
  ready(): void;
  cursor(message: CursorMessage): void;
  stats(message: StatsMessage): void;
  /** The network path is gone; it is being looked for. */
  interrupted(): void;
  resumed(): void;
  ended(reason: EndReason, detail: string): void;
  /** No connection came about. */
  failed(why: "no path" | "bad answer"): void;
}

/** No host sends a longer channel message; the largest is a cursor of 128 x 128 pixels. */
const MAX_CHANNEL_BYTES = 68 * 1024;
/** A pointer that waits behind this much is stale before it is sent. */
const MAX_POINTER_BACKLOG = 4 * 1024;
/** How long a connection may take, and how long a lost path is looked for. */
export const PATH_PATIENCE_MS = 30_000;
/** A new set of candidates is tried this often while the path is lost. */
const RESTART_MS = 5_000;

/** How long a host that has closed is given to say why. */
const LAST_WORDS_MS = 500;
/** Time for the last message to leave before its connection is torn down. */
const FAREWELL_MS = 100;

const UNRELIABLE: RTCDataChannelInit = { ordered: false, maxRetransmits: 0 };

export class Session {
  readonly #peer: RTCPeerConnection;
  readonly #meeting: Meeting;
  readonly #handlers: SessionHandlers;
  readonly #input: RTCDataChannel;
  readonly #pointer: RTCDataChannel;
  readonly #control: RTCDataChannel;
  readonly #candidates: RTCIceCandidateInit[] = [];
  #signals: Promise<void> = Promise.resolve();
  #patience: number | undefined;
  #restart: number | undefined;
  #connected = false;
  #secured = false;
  #over = false;

  /** Begins to connect; `screen` will show the picture. */
  constructor(meeting: Meeting, screen: HTMLVideoElement, handlers: SessionHandlers) {
    this.#meeting = meeting;
    this.#handlers = handlers;
    this.#peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    const video = this.#peer.addTransceiver("video", { direction: "recvonly" });
    video.setCodecPreferences?.(preferredCodecs());
    showFramesAtOnce(video.receiver);
    askForDependencies(video);
    screen.srcObject = new MediaStream([video.receiver.track]);

    this.#input = this.#channel("input");
    this.#pointer = this.#channel("pointer", UNRELIABLE);
    this.#control = this.#channel("control");
    this.#listen(this.#control, ControlMessageSchema, (message) => this.#controlled(message));
    this.#listen(this.#channel("cursor"), CursorMessageSchema, (message) => handlers.cursor(message));
    this.#listen(this.#channel("stats", UNRELIABLE), StatsMessageSchema, (message) =>
      handlers.stats(message),
    );
    this.#control.onopen = () => handlers.ready();
    this.#control.onclose = () => this.#closed();

    this.#peer.onicecandidate = ({ candidate }) =>
      meeting.send({ case: "candidate", value: { candidate: candidate?.candidate ?? "" } });
    this.#peer.oniceconnectionstatechange = () => this.#pathChanged();
    this.#peer.onconnectionstatechange = () => this.#connectionChanged();
    whenShown(screen, () => handlers.picture());
    this.#patience = window.setTimeout(() => this.#fail("no path"), PATH_PATIENCE_MS);
    this.#queue(() => this.#offer());
  }

  /** Takes a message that came sealed over the meeting point. */
  handle(body: SessionMessage["body"]): void {
    switch (body.case) {
      case "answer":
        this.#queue(() => this.#answered(body.value.sdp));
        break;
      case "candidate":
        this.#queue(() => this.#reachable(body.value.candidate));
        break;
      case "ended":
        this.#ended(body.value);
        break;
    }
  }

  sendInput(body: MessageInitShape<typeof InputMessageSchema>["body"]): void {
    transmit(this.#input, InputMessageSchema, { body });
  }

  /** Sends a position, unless older ones still wait: the next one will say more. */
  sendPointer(message: MessageInitShape<typeof PointerMessageSchema>): void {
    if (this.#pointer.bufferedAmount <= MAX_POINTER_BACKLOG) {
      transmit(this.#pointer, PointerMessageSchema, message);
    }
  }

  sendControl(body: MessageInitShape<typeof ControlMessageSchema>["body"]): void {
    transmit(this.#control, ControlMessageSchema, { body });
  }

  getStats(): Promise<RTCStatsReport> {
    return this.#peer.getStats();
  }

  /** Tells the host that the viewer leaves, on both ways because either may be gone, and closes. */
  leave(): void {
    if (this.#over) return;
    const ended = { reason: EndReason.END_VIEWER_LEFT };
    this.sendControl({ case: "ended", value: ended });
    this.#meeting.send({ case: "ended", value: ended });
    this.#close(FAREWELL_MS);
  }

  #channel(label: string, options?: RTCDataChannelInit): RTCDataChannel {
    const channel = this.#peer.createDataChannel(label, options);
    channel.binaryType = "arraybuffer";
    return channel;
  }

  #listen<Desc extends DescMessage>(
    channel: RTCDataChannel,
    schema: Desc,
    take: (message: MessageShape<Desc>) => void,
  ): void {
    channel.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_CHANNEL_BYTES) return;
      let message: MessageShape<Desc>;
      try {
        message = fromBinary(schema, new Uint8Array(data));
      } catch {
        return;
      }
      take(message);
    };
  }

  #controlled(message: ControlMessage): void {
    if (message.body.case === "ended") this.#ended(message.body.value);
    else this.#handlers.control(message);
  }

  /** Runs the steps of the negotiation one after the other. */
  #queue(step: () => Promise<void>): void {
    this.#signals = this.#signals
      .then(async () => {
        if (!this.#over) await step();
      })
      .catch(() => this.#fail("bad answer"));
  }

  async #offer(options?: RTCOfferOptions): Promise<void> {
    const offer = await this.#peer.createOffer(options);
    await this.#peer.setLocalDescription(offer);
    this.#meeting.send({ case: "offer", value: { sdp: offer.sdp ?? "" } });
  }

  async #answered(sdp: string): Promise<void> {
    await this.#peer.setRemoteDescription({ type: "answer", sdp });
    for (const candidate of this.#candidates.splice(0)) await this.#add(candidate);
  }

  async #reachable(candidate: string): Promise<void> {
    if (candidate === "") return;
    const init = { candidate, sdpMLineIndex: 0 };
    if (this.#peer.signalingState !== "stable") {
      this.#candidates.push(init);
      return;
    }
    await this.#add(init);
  }

  async #add(candidate: RTCIceCandidateInit): Promise<void> {
    // One candidate that this browser cannot use is no reason to give up the others.
    await this.#peer.addIceCandidate(candidate).catch(() => {});
  }

  #pathChanged(): void {
    switch (this.#peer.iceConnectionState) {
      case "connected":
      case "completed":
        window.clearTimeout(this.#patience);
        window.clearInterval(this.#restart);
        this.#patience = this.#restart = undefined;
        if (this.#connected) this.#handlers.resumed();
        this.#connected = true;
        break;
      case "disconnected":
      case "failed":
        this.#pathLost();
        break;
    }
  }

  #pathLost(): void {
    if (!this.#connected || this.#restart !== undefined) return;
    this.#handlers.interrupted();
    this.#patience = window.setTimeout(() => this.#end(EndReason.END_PATH_LOST, ""), PATH_PATIENCE_MS);
    const restart = () =>
      this.#queue(async () => {
        // Without the meeting point the old path may still come back by itself.
        const idle = this.#peer.signalingState === "stable";
        if (idle && this.#restart !== undefined && this.#meeting.open)
          await this.#offer({ iceRestart: true });
      });
    this.#restart = window.setInterval(restart, RESTART_MS);
    restart();
  }

  #connectionChanged(): void {
    const iceLost = ["failed", "disconnected"].includes(this.#peer.iceConnectionState);
    if (this.#peer.connectionState === "connected") this.#secured = true;
    else if (this.#peer.connectionState === "closed") this.#closed();
    else if (this.#peer.connectionState === "failed" && !iceLost) this.#fail("bad answer");
  }

  #ended({ reason, detail }: Ended): void {
    this.#end(reason, detail);
  }

  /** The host has closed; its last words may still be on their way through the meeting point. */
  #closed(): void {
    window.setTimeout(() => this.#end(EndReason.END_UNSPECIFIED, ""), LAST_WORDS_MS);
  }

  #end(reason: EndReason, detail: string): void {
    if (this.#over) return;
    this.#close();
    this.#handlers.ended(reason, detail);
  }

  #fail(why: "no path" | "bad answer"): void {
    if (this.#over) return;
    if (this.#secured) return this.#end(EndReason.END_HOST_ERROR, "");
    this.#close();
    this.#handlers.failed(why);
  }

  #close(afterMs = 0): void {
    this.#over = true;
    window.clearTimeout(this.#patience);
    window.clearInterval(this.#restart);
    if (afterMs === 0) this.#peer.close();
    else window.setTimeout(() => this.#peer.close(), afterMs);
  }
}

/** Whether this browser has a codec that a host can send. */
export function canReceiveVideo(): boolean {
  // A browser that cannot say finds out when it gets the offer.
  return RTCRtpReceiver.getCapabilities === undefined || videoCodecs().some((codec) => rank(codec) < OTHER);
}

/** What hosts cannot send, and what repairs packets of any codec. */
const OTHER = 3;

/** The host chooses among all that it can send; this is the order of what the others are worth. */
function rank(codec: RTCRtpCodec): number {
  const format = codec.sdpFmtpLine ?? "";
  switch (codec.mimeType.toLowerCase()) {
    case "video/h264":
      return format.includes("packetization-mode=1") ? 0 : 2;
    case "video/av1":
      return 1;
    default:
      return OTHER;
  }
}

function preferredCodecs(): RTCRtpCodec[] {
  return videoCodecs().sort((a, b) => rank(a) - rank(b));
}

function videoCodecs(): RTCRtpCodec[] {
  return [...(RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [])];
}

/** A remote desktop wants the newest frame now, not a smooth film later. */
function showFramesAtOnce(receiver: RTCRtpReceiver): void {
  const hints: { jitterBufferTarget?: number | null; playoutDelayHint?: number } = receiver;
  hints.jitterBufferTarget = 0;
  hints.playoutDelayHint = 0;
}

const DEPENDENCY_DESCRIPTOR =
  "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

interface HeaderExtension {
  readonly uri: string;
  direction: RTCRtpTransceiverDirection;
}

/**
 * Has the host say what each picture refers to: then one that does without lost pictures is shown at once, where a key
 * frame would be needed. Only some browsers can; they do not by themselves.
 */
function askForDependencies(video: RTCRtpTransceiver): void {
  const negotiable = video as RTCRtpTransceiver & {
    getHeaderExtensionsToNegotiate?(): HeaderExtension[];
    setHeaderExtensionsToNegotiate?(extensions: HeaderExtension[]): void;
  };
  const extensions = negotiable.getHeaderExtensionsToNegotiate?.() ?? [];
  for (const extension of extensions) {
    if (extension.uri === DEPENDENCY_DESCRIPTOR) extension.direction = "sendrecv";
  }
  negotiable.setHeaderExtensionsToNegotiate?.(extensions);
}

/** A hidden page never presents a frame, so that a decoded one has to do there. */
function whenShown(screen: HTMLVideoElement, shown: () => void): void {
  let once = () => {
    once = () => {};
    shown();
  };
  if (screen.requestVideoFrameCallback) screen.requestVideoFrameCallback(() => once());
  screen.onloadeddata = () => {
    if (document.hidden || !screen.requestVideoFrameCallback) once();
  };
}

function transmit<Desc extends DescMessage>(
  channel: RTCDataChannel,
  schema: Desc,
  message: MessageInitShape<Desc>,
): void {
  if (channel.readyState === "open") channel.send(toBinary(schema, create(schema, message)));
}

// WebRTC's way to the host: the peer connection, its negotiation and its data channels.
import { type Session as SessionMessage, StreamChannel } from "./gen/farpane_pb";
import type { SessionBody } from "./signal";

export interface PeerHandlers {
  /** For the host, through the meeting point. */
  signal(body: SessionBody): void;
  /** Something came over the data channel of this name. */
  message(channel: StreamChannel, data: Uint8Array): void;
  /** There is a network path, and the channels are open. */
  found(): void;
  /** The network path is gone. It comes back by itself or by `restart`. */
  lost(): void;
  /** There never was one, and will be none but by `restart`. */
  unreachable(): void;
  /** The host has closed. */
  closed(): void;
  /** Nothing comes of this connection. */
  failed(): void;
}

/** A pointer that waits behind this much is stale before it is sent. */
const MAX_POINTER_BACKLOG = 4 * 1024;

const UNRELIABLE: RTCDataChannelInit = { ordered: false, maxRetransmits: 0 };

const CHANNELS: ReadonlyArray<readonly [StreamChannel, label: string, options?: RTCDataChannelInit]> = [
  [StreamChannel.CHANNEL_INPUT, "input"],
  [StreamChannel.CHANNEL_POINTER, "pointer", UNRELIABLE],
  [StreamChannel.CHANNEL_CONTROL, "control"],
  [StreamChannel.CHANNEL_CURSOR, "cursor"],
  [StreamChannel.CHANNEL_STATS, "stats", UNRELIABLE],
];

export class Peer {
  /** What the host sends. */
  readonly media: MediaStream;
  readonly #connection: RTCPeerConnection;
  readonly #handlers: PeerHandlers;
  readonly #channels: ReadonlyMap<StreamChannel, RTCDataChannel>;
  readonly #candidates: RTCIceCandidateInit[] = [];
  #signals: Promise<void> = Promise.resolve();
  #up = false;
  #over = false;

  /** Begins to connect. */
  constructor(handlers: PeerHandlers) {
    this.#handlers = handlers;
    this.#connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    const video = this.#connection.addTransceiver("video", { direction: "recvonly" });
    video.setCodecPreferences?.(preferredCodecs());
    showFramesAtOnce(video.receiver);
    askForDependencies(video);
    this.media = new MediaStream([video.receiver.track]);

    this.#channels = new Map(CHANNELS.map((channel) => [channel[0], this.#channel(...channel)]));
    const control = this.#channels.get(StreamChannel.CHANNEL_CONTROL);
    if (control !== undefined) {
      control.onopen = () => this.#pathChanged();
      control.onclose = () => this.#closed();
    }
    this.#connection.onicecandidate = ({ candidate }) =>
      handlers.signal({ case: "candidate", value: { candidate: candidate?.candidate ?? "" } });
    this.#connection.oniceconnectionstatechange = () => this.#pathChanged();
    this.#connection.onconnectionstatechange = () => this.#connectionChanged();
    this.#queue(() => this.#offer());
  }

  /** Takes what the host says about the connection. */
  handle(body: SessionMessage["body"]): void {
    if (body.case === "answer") this.#queue(() => this.#answered(body.value.sdp));
    else if (body.case === "candidate") this.#queue(() => this.#reachable(body.value.candidate));
  }

  /** Asks the host for a new path. The old one may come back before. */
  restart(): void {
    this.#queue(() => this.#offer({ iceRestart: true }));
  }

  send(channel: StreamChannel, message: Uint8Array<ArrayBuffer>): void {
    const data = this.#channels.get(channel);
    if (data?.readyState !== "open") return;
    const stale = channel === StreamChannel.CHANNEL_POINTER && data.bufferedAmount > MAX_POINTER_BACKLOG;
    if (!stale) data.send(message);
  }

  getStats(): Promise<RTCStatsReport> {
    return this.#connection.getStats();
  }

  /** Leaves without another word to the handlers. */
  close(): void {
    this.#over = true;
    this.#connection.close();
  }

  #channel(name: StreamChannel, label: string, options?: RTCDataChannelInit): RTCDataChannel {
    const channel = this.#connection.createDataChannel(label, options);
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer && !this.#over) this.#handlers.message(name, new Uint8Array(data));
    };
    return channel;
  }

  /** Runs the steps of the negotiation one after the other. */
  #queue(step: () => Promise<void>): void {
    this.#signals = this.#signals
      .then(async () => {
        if (!this.#over) await step();
      })
      .catch(() => this.#failed());
  }

  async #offer(options?: RTCOfferOptions): Promise<void> {
    const offer = await this.#connection.createOffer(options);
    const measuring = { type: offer.type, sdp: withRoundTrips(offer.sdp ?? "") };
    // A browser that does not know this, or lets nobody change its offer, goes on with its own.
    await this.#connection
      .setLocalDescription(measuring)
      .catch(() => this.#connection.setLocalDescription(offer));
    this.#handlers.signal({ case: "offer", value: { sdp: offer.sdp ?? "" } });
  }

  async #answered(sdp: string): Promise<void> {
    // It may be to an offer that was made on a line that broke, and come after another.
    if (this.#connection.signalingState !== "have-local-offer") return;
    await this.#connection.setRemoteDescription({ type: "answer", sdp: withRoundTrips(sdp) });
    for (const candidate of this.#candidates.splice(0)) await this.#add(candidate);
  }

  async #reachable(candidate: string): Promise<void> {
    if (candidate === "") return;
    const init = { candidate, sdpMLineIndex: 0 };
    if (this.#connection.signalingState !== "stable") {
      this.#candidates.push(init);
      return;
    }
    await this.#add(init);
  }

  async #add(candidate: RTCIceCandidateInit): Promise<void> {
    // One candidate that this browser cannot use is no reason to give up the others.
    await this.#connection.addIceCandidate(candidate).catch(() => {});
  }

  #pathChanged(): void {
    if (this.#over) return;
    const path = this.#connection.iceConnectionState;
    const open = this.#channels.get(StreamChannel.CHANNEL_CONTROL)?.readyState === "open";
    if (!this.#up && open && (path === "connected" || path === "completed")) {
      this.#up = true;
      this.#handlers.found();
    } else if (this.#up && (path === "disconnected" || path === "failed")) {
      this.#up = false;
      this.#handlers.lost();
    } else if (!this.#up && path === "failed") {
      this.#handlers.unreachable();
    }
  }

  #connectionChanged(): void {
    const iceLost = ["failed", "disconnected"].includes(this.#connection.iceConnectionState);
    if (this.#connection.connectionState === "closed") this.#closed();
    else if (this.#connection.connectionState === "failed" && !iceLost) this.#failed();
  }

  #closed(): void {
    if (!this.#over) this.#handlers.closed();
  }

  #failed(): void {
    if (!this.#over) this.#handlers.failed();
  }
}

/** Whether this browser has WebRTC with a codec that a host can send. */
export function canReceiveVideo(): boolean {
  if (typeof RTCPeerConnection === "undefined") return false;
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

/**
 * Has the browser ask the host for the time (RFC 3611, section 4.4) and so know the round trip, wherever it asks for lost
 * packets again. One that only receives would not: Chromium takes it for 100 ms, and asks again that late on any path. It
 * does by itself what both descriptions have; hosts answer whoever asks, and need not know of it.
 */
export function withRoundTrips(description: string): string {
  return description.replace(/^a=rtcp-fb:(\d+) nack\r\n/gm, "$&a=rtcp-fb:$1 rrtr\r\n");
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

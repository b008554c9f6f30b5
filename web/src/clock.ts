// The host's clock as seen from here, by the exchange with the shortest round trip.

interface Exchange {
  readonly rttUs: number;
  readonly offsetUs: number;
}

/** Exchanges that count: half a minute of them, so that drift between the clocks cannot build up. */
const WINDOW = 30;

/** All times are microseconds; the viewer's are those of `performance.now()`. */
export class HostClock {
  #exchanges: Exchange[] = [];

  /** Takes one ping: when it left, what the host's clock said, when the answer was here. */
  add(sentUs: number, hostUs: number, receivedUs: number): void {
    if (receivedUs < sentUs) return;
    const rttUs = receivedUs - sentUs;
    this.#exchanges.push({ rttUs, offsetUs: hostUs - (sentUs + receivedUs) / 2 });
    if (this.#exchanges.length > WINDOW) this.#exchanges.shift();
  }

  /** The exchange that was least delayed, which is the one that can be least wrong: by half its round trip. */
  get best(): Exchange | undefined {
    let best = this.#exchanges[0];
    for (const exchange of this.#exchanges) {
      if (best === undefined || exchange.rttUs < best.rttUs) best = exchange;
    }
    return best;
  }

  /** A time of this page on the host's clock, once an exchange is known. */
  toHost(viewerUs: number): number | undefined {
    const best = this.best;
    return best && viewerUs + best.offsetUs;
  }
}

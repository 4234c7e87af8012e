import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../../lib/clock.ts';

/** How long a fresh answer is waited for while an older one is at hand. */
const FRESH_ANSWER_MAX_MS = 200;

export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

/** Splits `host:port`; the host may be a name, an IPv4 address, or an IPv6 address in brackets. */
export function parseAddress(address: string): SocketAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port <= 65535 ? { host: (match[1] ?? match[2])!, port } : undefined;
}

/** The form that grpc-js takes without looking anything up. */
export function grpcTarget(host: string, port: number): string {
  return isIP(host) === 6 ? `ipv6:[${host}]:${port}` : `ipv4:${host}:${port}`;
}

/** Rejects when the name has no address or nobody answers. */
export type LookUp = (host: string) => Promise<string>;

const lookUpName: LookUp = async host => (await lookup(host)).address;

/**
 * Peers' names to addresses: one lookup at a time, because lookups block threads of a small pool (R19), and the last good
 * answer stays usable while the name server is away.
 */
export class PeerAddresses {
  readonly #clock: Clock;
  readonly #lookUp: LookUp;
  readonly #known = new Map<string, string>();
  readonly #asked = new Map<string, Promise<string | undefined>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, lookUp: LookUp = lookUpName) {
    this.#clock = clock;
    this.#lookUp = lookUp;
  }

  /** Undefined: the name has no address, and never had one. */
  async resolve(host: string): Promise<string | undefined> {
    if (isIP(host) !== 0) return host;
    const fresh = this.#ask(host);
    const known = this.#known.get(host);
    if (known === undefined) return fresh;
    return Promise.race([fresh, this.#after(FRESH_ANSWER_MAX_MS, known)]);
  }

  #ask(host: string): Promise<string | undefined> {
    const asked = this.#asked.get(host);
    if (asked !== undefined) return asked;
    const answer = this.#last.then(() => this.#renew(host));
    this.#asked.set(host, answer);
    this.#last = answer;
    return answer;
  }

  async #renew(host: string): Promise<string | undefined> {
    try {
      const address = await this.#lookUp(host);
      this.#known.set(host, address);
      return address;
    } catch {
      return this.#known.get(host);
    } finally {
      this.#asked.delete(host);
    }
  }

  #after(delayMs: number, value: string): Promise<string> {
    return new Promise(resolve => this.#clock.after(delayMs, () => resolve(value)));
  }
}

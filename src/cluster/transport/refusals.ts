/** Strangers choose the names that are kept here, so their number is bounded; beyond it some reports repeat. */
const PEERS_MAX = 1_000;

/** Lets each reason of each peer pass once, until a link with the peer was made. */
export class Refusals {
  readonly #report: (peer: string, reason: string) => void;
  readonly #told = new Map<string, Set<string>>();

  constructor(report: (peer: string, reason: string) => void) {
    this.#report = report;
  }

  report(peer: string, reason: string): void {
    if (this.#told.size >= PEERS_MAX) this.#told.clear();
    const reasons = this.#told.get(peer) ?? new Set();
    this.#told.set(peer, reasons);
    if (reasons.has(reason)) return;
    reasons.add(reason);
    this.#report(peer, reason);
  }

  forget(peer: string): void {
    this.#told.delete(peer);
  }
}

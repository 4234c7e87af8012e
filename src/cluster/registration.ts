import type { Clock } from '../lib/clock.ts';
import type { Incarnation, NodeId } from '../lib/ids.ts';
import type { MemberListView } from './metadata/member-list.ts';
import { encodeRequest } from './metadata/metadata-command-codec.ts';
import { registerStart } from './metadata/metadata-commands.ts';

export interface RegistrationOptions {
  readonly node: NodeId;
  readonly directoryId: string;
  readonly repeatMs: number;
}

export interface RegistrationDependencies {
  readonly clock: Clock;
  readonly members: () => MemberListView;
  /** Random text that names this start of the process. */
  readonly newToken: () => string;
  /** To the leader of group 0; false if there is none to send to. */
  readonly send: (request: Uint8Array) => boolean;
}

/** An incarnation of this node, and the moment from which its lease counts at the earliest. */
export interface RegisteredStart {
  readonly incarnation: Incarnation;
  readonly startedMs: number;
}

/** Asks group 0 for an incarnation under a token of its own; the answer is read from this node's own replica (R24). */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #deps: RegistrationDependencies;
  #token: string;
  #sentMs = Number.NEGATIVE_INFINITY;
  /** When the present token was sent first: the incarnation's lease counts from no later moment. */
  #firstSentMs: number | undefined;

  constructor(options: RegistrationOptions, deps: RegistrationDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#token = deps.newToken();
  }

  /** The incarnation, once group 0 has given it; until then it is asked for again and again. */
  look(): RegisteredStart | undefined {
    const { node, directoryId, repeatMs } = this.#options;
    const members = this.#deps.members();
    const nowMs = this.#deps.clock.monotonicMs();
    const member = members.get(node);
    const started = member?.starts.find(({ token }) => token === this.#token);
    if (started !== undefined && members.currentIncarnation(node) === started.incarnation) {
      return { incarnation: started.incarnation, startedMs: this.#firstSentMs ?? nowMs };
    }
    if (member === undefined || nowMs - this.#sentMs < repeatMs) return undefined;
    // A start that was fenced before it began needs another name.
    if (started !== undefined) this.#renewToken();
    const command = registerStart({ node, directoryId, token: this.#token });
    if (!this.#deps.send(encodeRequest({ id: undefined, command }))) return undefined;
    this.#sentMs = nowMs;
    this.#firstSentMs ??= nowMs;
    return undefined;
  }

  /** The incarnation is over: the next one is asked for at once, under another token. */
  ended(): void {
    this.#renewToken();
    this.#sentMs = Number.NEGATIVE_INFINITY;
  }

  #renewToken(): void {
    this.#token = this.#deps.newToken();
    this.#firstSentMs = undefined;
  }
}

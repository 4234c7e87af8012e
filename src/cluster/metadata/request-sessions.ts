import type { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { type Incarnation, incarnation, type NodeId } from '../../lib/ids.ts';
import { REQUEST_WINDOW, type RequestId } from './metadata-commands.ts';
import { type MetadataReply, readReply, writeReply } from './metadata-replies.ts';

interface Session {
  readonly incarnation: Incarnation;
  seenThrough: number;
  /** Of the requests above `seenThrough` that were executed. */
  readonly replies: Map<number, MetadataReply>;
}

/** What each node has asked: a request that comes again gets its reply again and is not executed again. */
export class RequestSessions {
  readonly #sessions = new Map<NodeId, Session>();

  /** A new incarnation begins with nothing asked. */
  begin(node: NodeId, started: Incarnation): void {
    this.#sessions.set(node, { incarnation: started, seenThrough: 0, replies: new Map() });
  }

  end(node: NodeId): void {
    this.#sessions.delete(node);
  }

  /** The reply, if the request needs none any more or must not be executed; undefined: execute it and `record`. */
  receive(id: RequestId): MetadataReply | undefined {
    const session = this.#sessions.get(id.node);
    if (session === undefined || session.incarnation !== id.incarnation) return { kind: 'fenced' };
    if (id.seenThrough > session.seenThrough) {
      session.seenThrough = id.seenThrough;
      for (const number of session.replies.keys()) if (number <= id.seenThrough) session.replies.delete(number);
    }
    if (id.number <= session.seenThrough) return { kind: 'forgotten' };
    if (id.number > session.seenThrough + REQUEST_WINDOW) {
      const text = `more than ${REQUEST_WINDOW} requests of node ${id.node} are unanswered`;
      return { kind: 'refused', error: { code: 'unavailable', text } };
    }
    return session.replies.get(id.number);
  }

  /** Does nothing when the request itself ended the session. */
  record(id: RequestId, reply: MetadataReply): void {
    const session = this.#sessions.get(id.node);
    if (session?.incarnation === id.incarnation) session.replies.set(id.number, reply);
  }

  encode(out: ByteWriter, node: NodeId): void {
    const session = this.#sessions.get(node);
    out.u32(session?.incarnation ?? 0);
    if (session === undefined) return;
    out.u48(session.seenThrough);
    out.u32(session.replies.size);
    for (const number of [...session.replies.keys()].sort((a, b) => a - b)) {
      out.u48(number);
      writeReply(out, session.replies.get(number)!);
    }
  }

  restore(node: NodeId, reader: ByteReader): void {
    const started = reader.u32();
    if (started === 0) return;
    const session: Session = { incarnation: incarnation(started), seenThrough: reader.u48(), replies: new Map() };
    const count = reader.u32();
    for (let i = 0; i < count; i++) session.replies.set(reader.u48(), readReply(reader));
    this.#sessions.set(node, session);
  }
}

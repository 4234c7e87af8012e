/** A broken invariant: the state of this process can no longer be trusted, so the node stops. Never caught. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * States what must hold. Stays on in production. Pass a function where building the message costs something.
 * Operating errors (a refused connection, a full disk, a bad frame) are typed values, never assertions.
 */
export function assert(condition: unknown, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === 'string' ? message : message());
}

/** Marks the branch that the type checker knows to be impossible. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`);
}

/** A promise that was not kept. `witness`: the checker, or the assertion in the code itself, that saw it. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly witness: string;

  constructor(witness: string, message: string) {
    super(`${witness}: ${message}`);
    this.witness = witness;
  }
}

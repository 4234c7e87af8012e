/** The part of pino's logger that this project uses. Fields have fixed names: node, group, term, index, peer, queue, connection, err. */
export interface Logger {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

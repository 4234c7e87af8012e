import { REPLIES, type ReplyName } from './spec.ts';

/** Ends a channel or the connection, as the reply's scope says. An answer, never thrown. */
export interface AmqpError {
  readonly reply: ReplyName;
  readonly text: string;
}

export const amqpError = (reply: ReplyName, text: string): AmqpError => ({ reply, text });

export const isAmqpError = (value: object): value is AmqpError => 'reply' in value;

export const endsConnection = (error: AmqpError): boolean => REPLIES[error.reply].scope === 'connection';

export const replyCode = (error: AmqpError): number => REPLIES[error.reply].code;

/** RabbitMQ's form, which clients match on: `NOT_FOUND - no queue 'q' in vhost '/'`. */
export const replyText = (error: AmqpError): string =>
  `${error.reply.toUpperCase().replaceAll('-', '_')} - ${error.text}`;

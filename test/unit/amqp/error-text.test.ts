import { expect, it } from 'vitest';
import { replyCode, replyText } from '../../../src/protocols/amqp/amqp-error.ts';
import { toAmqpError } from '../../../src/protocols/amqp/error-text.ts';

it("answers an unknown exchange type with 503 in RabbitMQ's words", () => {
  const error = toAmqpError({ code: 'unknown-exchange-type', type: 'x-odd' });
  expect(replyCode(error)).toBe(503);
  expect(replyText(error)).toBe("COMMAND_INVALID - unknown exchange type 'x-odd'");
});

import { describe, expect, it } from 'vitest';
import { grpcTarget, PeerAddresses, parseAddress } from '../../../src/cluster/transport/peer-address.ts';
import type { Clock } from '../../../src/lib/clock.ts';

/** A clock whose delays end when the test says so. */
class StepClock implements Clock {
  readonly #delayed = new Set<() => void>();

  monotonicMs(): number {
    return 0;
  }
  wallMs(): number {
    return 0;
  }
  after(_delayMs: number, callback: () => void): () => void {
    this.#delayed.add(callback);
    return () => this.#delayed.delete(callback);
  }
  every(): () => void {
    return () => {};
  }
  elapse(): void {
    for (const callback of this.#delayed) callback();
  }
}

/** A name server that answers when the test says so. */
class Names {
  readonly asked: string[] = [];
  readonly #open: { resolve: (address: string) => void; reject: (error: Error) => void }[] = [];
  readonly lookUp = (host: string): Promise<string> => {
    this.asked.push(host);
    return new Promise((resolve, reject) => this.#open.push({ resolve, reject }));
  };

  answer(address: string): void {
    this.#open.shift()!.resolve(address);
  }
  fail(): void {
    this.#open.shift()!.reject(new Error('ENOTFOUND'));
  }
}

describe('addresses of peers', () => {
  it.each([
    ['warren-0.warren:25672', { host: 'warren-0.warren', port: 25672 }],
    ['10.0.0.1:1', { host: '10.0.0.1', port: 1 }],
    ['[::1]:25672', { host: '::1', port: 25672 }],
    ['warren-0', undefined],
    ['::1:25672', undefined],
    ['a:70000', undefined],
  ])('%s is read as %o', (address, expected) => {
    expect(parseAddress(address)).toEqual(expected);
  });

  it('go to gRPC as addresses, so that it looks nothing up', () => {
    expect(grpcTarget('10.0.0.1', 7)).toBe('ipv4:10.0.0.1:7');
    expect(grpcTarget('::1', 7)).toBe('ipv6:[::1]:7');
  });

  it('are looked up one at a time, each name once', async () => {
    const names = new Names();
    const addresses = new PeerAddresses(new StepClock(), names.lookUp);
    const answers = [
      addresses.resolve('a'),
      addresses.resolve('b'),
      addresses.resolve('a'),
      addresses.resolve('1.2.3.4'),
    ];
    expect(await answers[3]).toBe('1.2.3.4');
    expect(names.asked).toEqual(['a']);
    names.answer('10.0.0.1');
    expect(await answers[0]).toBe('10.0.0.1');
    expect(await answers[2]).toBe('10.0.0.1');
    expect(names.asked).toEqual(['a', 'b']);
    names.fail();
    expect(await answers[1]).toBeUndefined();
  });

  it('stay known while the name server is away or slow', async () => {
    const names = new Names();
    const clock = new StepClock();
    const addresses = new PeerAddresses(clock, names.lookUp);
    const first = addresses.resolve('a');
    await Promise.resolve();
    names.answer('10.0.0.1');
    expect(await first).toBe('10.0.0.1');

    const failed = addresses.resolve('a');
    await Promise.resolve();
    names.fail();
    expect(await failed).toBe('10.0.0.1');

    const slow = addresses.resolve('a');
    await Promise.resolve();
    clock.elapse();
    expect(await slow).toBe('10.0.0.1');
    names.answer('10.0.0.2');
  });
});

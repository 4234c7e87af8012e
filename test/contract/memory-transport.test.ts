import { MemoryNetwork, MemoryTransport } from '../support/memory-transport.ts';
import { type TransportHarness, transportContract } from './transport.contract.ts';

async function makeHarness(): Promise<TransportHarness> {
  const network = new MemoryNetwork();
  return {
    async transport(place, secret, listener) {
      const address = `${place}:1`;
      return { transport: new MemoryTransport(network, address, secret, listener), address };
    },
    async close() {},
  };
}

transportContract('the transport in memory', makeHarness);

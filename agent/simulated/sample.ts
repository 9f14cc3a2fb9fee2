import type { HostAgent } from '../contract.ts'
import type { Sample } from '../metrics/sampler.ts'

/** What a simulated host says of itself: what it has, and what its machines are said to do. Nothing on it uses anything. */
export async function takeSample(agent: Pick<HostAgent, 'host' | 'machines'>): Promise<Sample> {
  const [{ cpus, memoryBytes }, machines] = await Promise.all([agent.host(), agent.machines()])
  return { host: { cpus, memoryBytes }, machines: machines.map((machine) => ({ machine })), storages: [] }
}

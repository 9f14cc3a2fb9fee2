import * as z from 'zod'
import { baseStatus, cel, quantity } from './common.ts'
import { MAX_FURTHER_DISKS } from './machine-disks.ts'

/** What a machine is, and where: whoever changed it would have a host take one machine for another. */
const keptInStatus = [
  ...['machineId', 'host', 'networks'].map((field) => ({
    rule: `!has(oldSelf.${field}) || (has(self.${field}) && self.${field} == oldSelf.${field})`,
    message: `status.${field} stays what it is once it is set: leave it as it was`,
  })),
  {
    rule: '!has(self.decision) || (has(self.host) && self.decision.host == self.host)',
    message: 'status.decision is for the host in status.host: leave it as it was',
  },
]

/** The last epoch that a decision can have. JavaScript counts up to there, and further. */
export const MAX_EPOCH = 2 ** 52
/** What can be asked for in spec.power. */
export const powerRequest = z.enum(['Start', 'Stop', 'ForceStop', 'Restart', 'Reset', 'Pause', 'Resume'])

/** What Holdfast writes down of a machine. */
export const virtualMachineStatus = cel(
  z.object({
    ...baseStatus,
    printableStatus: z.string().max(64).optional().describe('State in one word, as kubectl get shows it.'),
    machineId: z
      .uuid()
      .optional()
      .describe('Identity of the machine on hosts and in the guest (its DMI UUID). Not the uid of this object.'),
    host: z.string().max(253).optional().describe('Host that the machine is placed on.'),
    rootDisk: z.string().max(253).optional().describe('Disk that it boots from.'),
    dataStorage: z.string().max(253).optional().describe('DataStorage chosen for its new root disk.'),
    allocated: z
      .object({
        cpus: z.int().min(1).max(256).describe('Virtual CPUs.'),
        memory: quantity.describe('Memory, as in the spec.'),
      })
      .optional()
      .describe('What is counted on its host and ordered from it: as in the spec, once the host has room for that.'),
    networks: z
      .array(z.object({ mac: z.string().max(17).describe('Ethernet address of the card.') }))
      .max(16)
      .optional()
      .describe('Network cards, in order.'),
    unnamedDisks: z
      .array(z.string().max(253))
      .max(MAX_FURTHER_DISKS + 1)
      .optional()
      .describe(
        'Disks that the guest has although spec.disks does not name them, as when they were attached after the state was stored that the platform was restored from. They are in use: name them in spec.disks, or request Restart in spec.power to have them taken out.',
      ),
    runStrategy: z.string().max(16).optional().describe('The runStrategy that the last decision follows.'),
    power: z
      .object({
        request: powerRequest.describe('What was asked for.'),
        at: z.iso.datetime({ offset: true }).describe('When it was asked for.'),
        latest: z.iso
          .datetime({ offset: true })
          .optional()
          .describe(
            'Where this one was refused for its time: the time of the last that was not. What is not later is not carried out.',
          ),
        reason: z.string().max(64).optional().describe('Why it is not carried out, as one word. Absent when it is.'),
        message: z.string().max(1024).optional().describe('Why it is not carried out, as a sentence.'),
      })
      .optional()
      .describe('The last request in spec.power that was handled. Stored together with the decision that it led to.'),
    restarts: z
      .int()
      .optional()
      .describe(
        'Starts after a crash or a shutdown from inside, since the last decision. Absent when there were none.',
      ),
    restartAt: z.iso.datetime().optional().describe('When it is started again, while it waits for that.'),
    decision: z
      .object({
        id: z.uuid().describe('Identity of the decision.'),
        epoch: z.int().min(1).max(MAX_EPOCH).describe('Grows with every decision; a host refuses an older one.'),
        power: z.enum(['Running', 'Stopped', 'Absent']).describe('What was decided.'),
        host: z.string().max(253).describe('Host it is for.'),
        follows: z.array(z.uuid()).max(8).describe('Decisions that this one may take over disks from.'),
        request: powerRequest.optional().describe('The request that it carries out.'),
        paused: z.boolean().optional().describe('Whether the guest is to be halted where it is.'),
      })
      .optional()
      .describe('The last decision to start, stop or remove it. Stored before any host acts on it.'),
  }),
  ...keptInStatus,
)

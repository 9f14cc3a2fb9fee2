import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { serialFolder, type Home } from '../home.ts'

/** Where a machine prints to: one that runs, where there is one. Undefined where none of them has ever printed here. */
export function findSerialLog(home: Home, machines: readonly VirtualMachine[]): string | undefined {
  const isRunning = ({ status }: VirtualMachine) => status?.printableStatus === 'Running'
  const ordered = [...machines.filter(isRunning), ...machines.filter((vm) => !isRunning(vm))]
  const logs = ordered.flatMap(({ status }) => {
    return status?.machineId === undefined ? [] : [join(serialFolder(home), `${status.machineId}.log`)]
  })
  return logs.find((path) => existsSync(path))
}

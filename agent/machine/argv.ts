import type { OpenableDisk } from '../storage/storage.ts'
import type { MachinePaths } from '../paths.ts'
import { blockGraph, diskDevice } from './block-graph.ts'
import type { Hardware } from './hardware.ts'
import type { Slots } from './slots.ts'

/** What the guest's user-mode network lets it reach. */
export type UserNetwork = 'Isolated' | 'Open'

export interface ProcessSpec {
  readonly id: string
  /** `namespace/name`, for people who read process lists. */
  readonly name: string
  readonly hardware: Hardware
  /** In the order of `hardware.disks`: the first is the one to boot from. */
  readonly disks: readonly OpenableDisk[]
  /** Root port of each disk, by its id. */
  readonly slots: Slots
  readonly accelerator: 'KVM' | 'TCG'
  readonly userNetwork: UserNetwork
  /** Past the host's page cache. Not every file system can. */
  readonly directIo: boolean
  /** The guest's kernel can tell QEMU of its panic. */
  readonly pvpanic: boolean
  readonly paths: MachinePaths
}

/** How many root ports stay empty for disks and cards that are plugged in later. */
const SPARE_PORTS = 4
const PORTS_PER_SLOT = 8
// Slots of the root bus. Each kind of device keeps its own, so that one more disk moves no network card.
const SLOT = { disks: 0x02, nics: 0x08, rng: 0x10, serial: 0x11 } as const

/** An option, with its value if it has one. */
type Arg = readonly [option: string, value?: string]

/** The arguments of QEMU 7.2 and newer, without the program. Equal specs give equal arguments. */
export function toArgv(spec: ProcessSpec): string[] {
  const placed = spec.disks.map((disk, index) => ({ disk, slot: spec.slots[disk.id] ?? index }))
  const args: Arg[] = [
    ...identity(spec),
    ...board(spec),
    // All denials. QEMU's own -daemonize and -runas do not survive them.
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-chardev', unixSocket('qmp', spec.paths.qmp)],
    ['-mon', 'chardev=qmp,mode=control'],
    ...rootPorts('disk', SLOT.disks, diskPorts(placed.map(({ slot }) => slot))),
    ...placed.flatMap(({ disk, slot }, index) => diskArgs(disk, slot, spec.directIo, index === 0)),
    ...rootPorts('nic', SLOT.nics, spec.hardware.macs.length + SPARE_PORTS),
    ...spec.hardware.macs.flatMap((mac, index) => nicArgs(mac, index, spec.userNetwork)),
    ...serialConsole(spec.paths),
    ...(spec.pvpanic ? [device({ driver: 'pvpanic', id: 'panic' })] : []),
    ...guestAgentChannel(spec.paths),
    ['-object', JSON.stringify({ 'qom-type': 'rng-builtin', id: 'rng' })],
    device({ driver: 'virtio-rng-pci', rng: 'rng', bus: 'pcie.0', addr: toAddress(SLOT.rng) }),
  ]
  return args.flatMap(([option, value]) => (value === undefined ? [option] : [option, value]))
}

function identity({ id, name, paths }: ProcessSpec): Arg[] {
  return [
    ['-name', `guest=${escaped(name)},debug-threads=off`],
    ['-uuid', id],
    // QEMU keeps a lock on it for as long as it lives: of two processes of one machine, the second ends itself.
    ['-pidfile', paths.pidFile],
  ]
}

function board({ hardware, accelerator }: ProcessSpec): Arg[] {
  const { machineType, cpus, memoryBytes } = hardware
  return [
    ['-nodefaults'],
    ['-no-user-config'],
    ['-machine', `${machineType},accel=${accelerator.toLowerCase()},usb=off,vmport=off,dump-guest-core=off`],
    ['-cpu', accelerator === 'KVM' ? 'host' : 'max'],
    ['-smp', `cpus=${cpus},sockets=1,cores=${cpus},threads=1`],
    ['-m', `size=${memoryBytes}B`],
    ['-display', 'none'],
    ['-vga', 'none'],
    ['-rtc', 'base=utc'],
    ['-boot', 'strict=on'],
    // A guest that sleeps cannot be told from one that hangs.
    ['-global', 'ICH9-LPC.disable_s3=1'],
    ['-global', 'ICH9-LPC.disable_s4=1'],
    // A guest that shut itself down stays visible as such, also to an agent that was away meanwhile.
    ['-action', 'shutdown=pause,panic=pause'],
  ]
}

/** How many root ports for disks a process is started with that has disks in these slots. */
export function diskPorts(slots: readonly number[]): number {
  return Math.max(-1, ...slots) + 1 + SPARE_PORTS
}

/** Root ports at fixed addresses for devices that are there, and some for those to come. */
function rootPorts(kind: 'disk' | 'nic', firstSlot: number, count: number): Arg[] {
  return Array.from({ length: count }, (_, index) =>
    device({
      driver: 'pcie-root-port',
      id: `${kind}-port-${index}`,
      bus: 'pcie.0',
      addr: `${toAddress(firstSlot + Math.floor(index / PORTS_PER_SLOT))}.${index % PORTS_PER_SLOT}`,
      multifunction: index % PORTS_PER_SLOT === 0,
      chassis: firstSlot * PORTS_PER_SLOT + index,
      // Virtio devices need no I/O ports, of which a PC has only enough for some fifteen bridges.
      'io-reserve': 0,
    }),
  )
}

function diskArgs(disk: OpenableDisk, slot: number, directIo: boolean, isFirst: boolean): Arg[] {
  return [
    ...blockGraph(disk, slot, directIo).map((node): Arg => ['-blockdev', JSON.stringify(node)]),
    device({ ...diskDevice(disk, slot), ...(isFirst ? { bootindex: 0 } : {}) }),
  ]
}

/**
 * A card on QEMU's user-mode network. To slirp, 10.0.2.2 is the host's own loopback, and QEMU has no switch
 * for that alone: `Open` lets a guest reach every service that listens on 127.0.0.1 of the host.
 */
function nicArgs(mac: string, index: number, userNetwork: UserNetwork): Arg[] {
  const netdev = `net-${index}`
  return [
    ['-netdev', JSON.stringify({ type: 'user', id: netdev, restrict: userNetwork === 'Isolated' })],
    device({ driver: 'virtio-net-pci', id: `nic-${index}`, bus: `nic-port-${index}`, netdev, mac, romfile: '' }),
  ]
}

function serialConsole({ console, serialLog }: MachinePaths): Arg[] {
  return [
    ['-chardev', `${unixSocket('console', console)},logfile=${escaped(serialLog)},logappend=on`],
    device({ driver: 'isa-serial', id: 'serial-0', chardev: 'console' }),
  ]
}

function guestAgentChannel({ guestAgent }: MachinePaths): Arg[] {
  const port = { chardev: 'guest-agent', name: 'org.qemu.guest_agent.0' }
  return [
    device({ driver: 'virtio-serial-pci', id: 'virtio-serial', bus: 'pcie.0', addr: toAddress(SLOT.serial) }),
    ['-chardev', unixSocket('guest-agent', guestAgent)],
    device({ driver: 'virtserialport', bus: 'virtio-serial.0', ...port }),
  ]
}

function toAddress(slot: number): string {
  return `0x${slot.toString(16)}`
}

function device(properties: Record<string, string | number | boolean>): Arg {
  return ['-device', JSON.stringify(properties)]
}

function unixSocket(id: string, path: string): string {
  return `socket,id=${id},path=${escaped(path)},server=on,wait=off`
}

// In QEMU's key=value lists a comma is written twice.
function escaped(text: string): string {
  return text.replaceAll(',', ',,')
}

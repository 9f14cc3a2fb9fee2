import { expect, test } from 'vitest'
import { machinePaths } from '../paths.ts'
import type { OpenableDisk } from '../storage/storage.ts'
import { toArgv, type ProcessSpec } from './argv.ts'

const id = '11111111-1111-4111-8111-111111111111'
const paths = machinePaths({ serial: '/s/serial', logs: '/s/logs', run: '/r' }, id)
const disk: OpenableDisk = {
  id: '22222222-2222-4222-8222-222222222222',
  layers: [
    { path: '/d/disks/top.qcow2', format: 'qcow2' },
    { path: '/d/images/base.raw', format: 'raw' },
  ],
}

function newSpec(change: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    id,
    name: 'default/web',
    hardware: {
      cpus: 2,
      memoryBytes: 2 ** 30,
      machineType: 'pc-q35-7.2',
      macs: ['52:54:00:00:00:01'],
      disks: [{ id: disk.id, storage: 'fast' }],
    },
    disks: [disk],
    slots: {},
    accelerator: 'TCG',
    userNetwork: 'Isolated',
    directIo: false,
    pvpanic: true,
    paths,
    ...change,
  }
}

/** Values of an option, in their order. */
function valuesOf(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (args[index - 1] === option ? [arg] : []))
}

function devicesOf(args: readonly string[]): Record<string, unknown>[] {
  return valuesOf(args, '-device').map((text) => JSON.parse(text) as Record<string, unknown>)
}

test('Arguments of a machine with a disk, a base and a card are these', () => {
  const args = toArgv(newSpec())
  const lines = args.join('\n').replaceAll('\n-', '\n\n-').split('\n\n')
  expect(`\n${lines.map((line) => line.replace('\n', ' ')).join('\n')}\n`).toMatchInlineSnapshot(`
    "
    -name guest=default/web,debug-threads=off
    -uuid 11111111-1111-4111-8111-111111111111
    -pidfile /r/11111111-1111-4111-8111-111111111111/pid
    -nodefaults
    -no-user-config
    -machine pc-q35-7.2,accel=tcg,usb=off,vmport=off,dump-guest-core=off
    -cpu max
    -smp cpus=2,sockets=1,cores=2,threads=1
    -m size=1073741824B
    -display none
    -vga none
    -rtc base=utc
    -boot strict=on
    -global ICH9-LPC.disable_s3=1
    -global ICH9-LPC.disable_s4=1
    -action shutdown=pause,panic=pause
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
    -chardev socket,id=qmp,path=/r/11111111-1111-4111-8111-111111111111/qmp,server=on,wait=off
    -mon chardev=qmp,mode=control
    -device {"driver":"pcie-root-port","id":"disk-port-0","bus":"pcie.0","addr":"0x2.0","multifunction":true,"chassis":16,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"disk-port-1","bus":"pcie.0","addr":"0x2.1","multifunction":false,"chassis":17,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"disk-port-2","bus":"pcie.0","addr":"0x2.2","multifunction":false,"chassis":18,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"disk-port-3","bus":"pcie.0","addr":"0x2.3","multifunction":false,"chassis":19,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"disk-port-4","bus":"pcie.0","addr":"0x2.4","multifunction":false,"chassis":20,"io-reserve":0}
    -blockdev {"driver":"file","node-name":"disk-0-base-1-file","filename":"/d/images/base.raw","aio":"threads","locking":"on","discard":"unmap","read-only":true,"cache":{"direct":false,"no-flush":false}}
    -blockdev {"driver":"raw","node-name":"disk-0-base-1","file":"disk-0-base-1-file","discard":"unmap","read-only":true}
    -blockdev {"driver":"file","node-name":"disk-0-file","filename":"/d/disks/top.qcow2","aio":"threads","locking":"on","discard":"unmap","read-only":false,"cache":{"direct":false,"no-flush":false}}
    -blockdev {"driver":"qcow2","node-name":"disk-0","file":"disk-0-file","discard":"unmap","read-only":false,"backing":"disk-0-base-1"}
    -device {"driver":"virtio-blk-pci","id":"disk-0","bus":"disk-port-0","drive":"disk-0","serial":"22222222-2222-4222-8","werror":"stop","rerror":"stop","bootindex":0}
    -device {"driver":"pcie-root-port","id":"nic-port-0","bus":"pcie.0","addr":"0x8.0","multifunction":true,"chassis":64,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"nic-port-1","bus":"pcie.0","addr":"0x8.1","multifunction":false,"chassis":65,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"nic-port-2","bus":"pcie.0","addr":"0x8.2","multifunction":false,"chassis":66,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"nic-port-3","bus":"pcie.0","addr":"0x8.3","multifunction":false,"chassis":67,"io-reserve":0}
    -device {"driver":"pcie-root-port","id":"nic-port-4","bus":"pcie.0","addr":"0x8.4","multifunction":false,"chassis":68,"io-reserve":0}
    -netdev {"type":"user","id":"net-0","restrict":true}
    -device {"driver":"virtio-net-pci","id":"nic-0","bus":"nic-port-0","netdev":"net-0","mac":"52:54:00:00:00:01","romfile":""}
    -chardev socket,id=console,path=/r/11111111-1111-4111-8111-111111111111/console,server=on,wait=off,logfile=/s/serial/11111111-1111-4111-8111-111111111111.log,logappend=on
    -device {"driver":"isa-serial","id":"serial-0","chardev":"console"}
    -device {"driver":"pvpanic","id":"panic"}
    -device {"driver":"virtio-serial-pci","id":"virtio-serial","bus":"pcie.0","addr":"0x11"}
    -chardev socket,id=guest-agent,path=/r/11111111-1111-4111-8111-111111111111/agent,server=on,wait=off
    -device {"driver":"virtserialport","bus":"virtio-serial.0","chardev":"guest-agent","name":"org.qemu.guest_agent.0"}
    -object {"qom-type":"rng-builtin","id":"rng"}
    -device {"driver":"virtio-rng-pci","rng":"rng","bus":"pcie.0","addr":"0x10"}
    "
  `)
})

test('Arguments are the same for the same machine', () => {
  expect(toArgv(newSpec())).toEqual(toArgv(newSpec()))
})

test('Arguments write a comma in a name or a path twice', () => {
  const odd = machinePaths({ serial: '/s,1', logs: '/l', run: '/r,2' }, id)
  const args = toArgv(newSpec({ name: 'a/b,uuid=c', paths: odd }))
  expect(valuesOf(args, '-name')).toEqual(['guest=a/b,,uuid=c,debug-threads=off'])
  expect(valuesOf(args, '-chardev')).toEqual([
    `socket,id=qmp,path=/r,,2/${id}/qmp,server=on,wait=off`,
    `socket,id=console,path=/r,,2/${id}/console,server=on,wait=off,logfile=/s,,1/${id}.log,logappend=on`,
    `socket,id=guest-agent,path=/r,,2/${id}/agent,server=on,wait=off`,
  ])
  // The only path that stands alone.
  expect(valuesOf(args, '-pidfile')).toEqual([`/r,2/${id}/pid`])
})

test('Arguments of KVM hand the processor on, those of TCG emulate all of it', () => {
  const kvm = toArgv(newSpec({ accelerator: 'KVM' }))
  expect([valuesOf(kvm, '-cpu'), valuesOf(toArgv(newSpec()), '-cpu')]).toEqual([['host'], ['max']])
  expect(valuesOf(kvm, '-machine')[0]).toContain('accel=kvm')
})

test('Arguments have a device for panics where QEMU knows one', () => {
  const panicky = (pvpanic: boolean) =>
    devicesOf(toArgv(newSpec({ pvpanic }))).filter(({ id: name }) => name === 'panic')
  expect([panicky(true), panicky(false)]).toEqual([[{ driver: 'pvpanic', id: 'panic' }], []])
})

test('Arguments let a guest reach the host only when its network is open', () => {
  const restrictions = (['Isolated', 'Open'] as const).map((userNetwork) => {
    const [netdev = ''] = valuesOf(toArgv(newSpec({ userNetwork })), '-netdev')
    return (JSON.parse(netdev) as { restrict: boolean }).restrict
  })
  expect(restrictions).toEqual([true, false])
})

test('Arguments keep every device where it is when a disk is added', () => {
  const before = devicesOf(toArgv(newSpec()))
  const more: OpenableDisk = { ...disk, id: '33333333-3333-4333-8333-333333333333' }
  const after = devicesOf(toArgv(newSpec({ disks: [disk, more] })))
  for (const device of before) expect(after).toContainEqual(device)
})

test('Arguments give no two devices one place, with all that a machine may have', () => {
  const macs = Array.from({ length: 16 }, (_, index) => `52:54:00:00:00:${(16 + index).toString(16)}`)
  const disks = Array.from({ length: 17 }, () => disk)
  const devices = devicesOf(toArgv(newSpec({ disks, hardware: { ...newSpec().hardware, macs } })))
  const places = devices.filter(({ bus }) => bus === 'pcie.0').map(({ addr }) => addr)
  expect(new Set(places).size).toBe(places.length)
  const chassis = devices.flatMap((device) => ('chassis' in device ? [device['chassis']] : []))
  expect(new Set(chassis).size).toBe(chassis.length)
  const used = devices.flatMap(({ bus }) => (String(bus).includes('-port-') ? [bus] : []))
  expect(new Set(used).size).toBe(33)
  expect(devices.filter((device) => 'bootindex' in device)).toHaveLength(1)
})

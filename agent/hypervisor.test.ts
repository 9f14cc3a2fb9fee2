import { expect, test } from 'vitest'
import { chooseAccelerator, lookAtHost, parseQemu, toMemoryBytes } from './hypervisor.ts'
import { RunError } from './run.ts'

const machines = `Supported machines are:
microvm              microvm (i386)
pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)
pc-i440fx-7.2        Standard PC (i440FX + PIIX, 1996) (default)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)
pc-q35-7.2           Standard PC (Q35 + ICH9, 2009)
pc-q35-7.1           Standard PC (Q35 + ICH9, 2009)
none                 empty machine
`
const debian = 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright (c) 2003-2022 Fabrice Bellard'

test('QEMU is what it says of itself', () => {
  expect(parseQemu(debian, machines, 'name "floppy"\nname "pvpanic", bus ISA\n')).toEqual({
    version: '7.2.22',
    q35: 'pc-q35-7.2',
    machineTypes: ['pc-q35-7.2', 'pc-q35-7.1'],
    hasPvpanic: true,
  })
})

test.each([
  ['QEMU emulator version 10.0.2', '10.0.2'],
  ['QEMU emulator version 7.10', '7.10'],
  ['QEMU emulator version 8.0.50 (v8.0.0-1-gabc)', '8.0.50'],
])('QEMU that says %s is new enough', (text, version) => {
  expect(parseQemu(text, machines).version).toBe(version)
})

test('QEMU without the device for panics can be used all the same', () => {
  expect(parseQemu(debian, machines, 'name "pvpanic-pci", bus PCI\n').hasPvpanic).toBe(false)
})

test.each(['7.1.9', '6.2.0', '7.0'])('QEMU %s is too old, and that is said', (version) => {
  const parse = () => parseQemu(`QEMU emulator version ${version}`, machines)
  expect(parse).toThrow(expect.objectContaining({ code: 'QEMU_UNAVAILABLE', problem: 'QemuTooOld' }))
})

test.each([
  ['', machines],
  [debian, 'Supported machines are:\nnone  empty machine'],
])('QEMU that says something else is no QEMU', (version, types) => {
  expect(() => parseQemu(version, types)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
})

const vmx = 'processor\t: 0\nflags\t\t: fpu vme vmx ssse3\nbugs\t\t:\n'
const svm = 'flags\t\t: fpu svm\n'
const neither = 'flags\t\t: fpu vmxx not_svm hypervisor\nvmx flags\t: vnmi\n'
const everybody = { mode: 0o20666, gid: 0 }

test.each([
  ['a processor with vmx', { cpuinfo: vmx, kvm: everybody }, 'KVM', 'vmx'],
  ['a processor with svm', { cpuinfo: svm, kvm: everybody }, 'KVM', 'svm'],
  ['a processor that offers neither', { cpuinfo: neither, kvm: everybody }, 'TCG', 'neither vmx nor svm'],
  ['a processor of another kind', { cpuinfo: 'Features\t: fp\n', kvm: everybody }, 'TCG', 'neither vmx nor svm'],
  ['no device', { cpuinfo: vmx, kvm: undefined }, 'TCG', 'load the kvm module'],
  ['a device of root alone', { cpuinfo: vmx, kvm: { mode: 0o20600, gid: 0 } }, 'TCG', 'its group must be ours'],
  ['a device that a group may read', { cpuinfo: vmx, kvm: { mode: 0o20640, gid: 108 } }, 'TCG', 'its group must'],
] as const)('Accelerator with %s is chosen by looking: %#', (_name, { cpuinfo, kvm }, name, reason) => {
  const chosen = chooseAccelerator(cpuinfo, kvm)
  expect(chosen).toMatchObject({ name, reason: expect.stringContaining(reason) })
  expect(chosen).not.toHaveProperty('gid')
})

// Root may use any group; everybody else those that they are in.
const ours = process.getuid?.() === 0 ? 108 : process.getgroups?.().find((group) => group !== 0)

test.skipIf(ours === undefined)('Accelerator of a group that is ours names the group', () => {
  const chosen = chooseAccelerator(vmx, { mode: 0o20660, gid: ours ?? 0 })
  expect(chosen).toMatchObject({ name: 'KVM', gid: ours })
})

test('Memory is what the kernel says', () => {
  expect(toMemoryBytes('MemTotal:       16384000 kB\nMemFree:  1 kB\n')).toBe(16_384_000 * 1024)
})

/** A host whose QEMU answers so, one call of each kind after the other. */
function answering(...answers: (string | Error)[]) {
  return (args: readonly string[]): Promise<string> => {
    const answer = args.includes('help') ? machines : (answers.shift() ?? debian)
    return typeof answer === 'string' ? Promise.resolve(answer) : Promise.reject(answer)
  }
}

test('Host without QEMU says how to get it, and finds it once it is there', async () => {
  const host = await lookAtHost(answering(new RunError('ENOENT', 'none'), new RunError('ENOENT', 'none')))
  const { problem } = await host.observe()
  expect(problem?.code).toBe('QemuMissing')
  expect(problem?.message).toContain('apt-get install qemu-system-x86 qemu-utils')
  await expect(host.qemu()).rejects.toMatchObject({ code: 'QEMU_UNAVAILABLE', details: { code: 'QemuMissing' } })
  expect(await host.observe()).toMatchObject({ qemuVersion: '7.2.22', bootId: host.bootId })
})

test('Host whose QEMU hangs has none to use, and says why', async () => {
  const host = await lookAtHost(answering(new RunError('TIMEOUT', 'qemu did not end within 10000 ms')))
  await expect(host.qemu()).rejects.toMatchObject({ code: 'QEMU_UNAVAILABLE', message: /within 10000 ms/ })
})

test('Host with an old QEMU says which it needs', async () => {
  const host = await lookAtHost(answering('QEMU emulator version 6.2.0'))
  expect((await host.observe()).problem).toMatchObject({ code: 'QemuTooOld', message: /needs 7\.2 or newer/ })
})

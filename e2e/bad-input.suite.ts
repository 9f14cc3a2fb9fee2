import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { dataStorage, disk, host, image, machine } from './testing/manifests.ts'
import { condition, eventually, isReady, newPlatform, Platform, SHORT_MS } from './testing/platform.ts'
import { startAgent } from './testing/second-agent.ts'

const guest = 'holdfast-guest.qcow2'

/** What a mistake is answered with. Wants a platform on which nothing was made. */
export function describeMistakes(platform: Platform): void {
  describe('A mistake', () => {
    afterAll(async () => platform.clear(), 120_000)

    const yaml = (spec: string, name = 'web') =>
      `apiVersion: compute.holdfast.dev/v1alpha1\nkind: VirtualMachine\nmetadata: {name: ${name}, namespace: default}\nspec: ${spec}\n`

    test.each([
      ['an unknown field', yaml('{memory: 1Gi, rootDisk: {imageRef: {name: x}}, cpu: 2}'), /unknown field "spec\.cpu"/],
      [
        'memory of 4 GB',
        yaml('{memory: 4 GB, rootDisk: {imageRef: {name: x}}}'),
        /write a whole number from 1 with Mi, Gi or Ti/,
      ],
      [
        'a YAML 1.1 boolean',
        yaml('{memory: 1Gi, rootDisk: {imageRef: {name: x}}, runStrategy: on}'),
        /spec\.runStrategy/,
      ],
      ['a name that is a boolean', yaml('{memory: 1Gi, rootDisk: {imageRef: {name: x}}}', 'yes'), /string|name/],
      [
        'a name of 10 kB',
        yaml('{memory: 1Gi, rootDisk: {imageRef: {name: x}}}', 'x'.repeat(10_240)),
        /no more than|at most/,
      ],
      [
        'a reference of 10 kB',
        yaml(`{memory: 1Gi, rootDisk: {imageRef: {name: ${'x'.repeat(10_240)}}}}`),
        /may not be|at most/,
      ],
      ['no disk to boot from', yaml('{memory: 1Gi, rootDisk: {}}'), /name either imageRef/],
      ['a path with ..', JSON.stringify(image('up', '../secret.qcow2')), /below the host's import folder/],
      ['an absolute path', JSON.stringify(image('abs', '/etc/passwd')), /below the host's import folder/],
      [
        'a checksum that is none',
        JSON.stringify(image('sum', guest, { checksum: 'md5:1' })),
        /write sha256: and the 64/,
      ],
    ])('is refused when it is applied: %s', async (_what, manifest, sentence) => {
      const { code, stderr } = await platform.tryApply(manifest)
      expect(code).not.toBe(0)
      expect(stderr).toMatch(sentence)
    })

    test('is refused by a server-side apply too: an unknown field', async () => {
      const manifest = yaml('{memory: 1Gi, rootDisk: {imageRef: {name: x}}, cpu: 2}')
      expect((await platform.tryApply(manifest, '--server-side')).stderr).toMatch(
        /spec\.cpu: field not declared in schema/,
      )
    })

    test('in an image is shown with what to do, and nothing is made from it', async () => {
      const imports = join(platform.home, 'import')
      await copyFile(join(imports, guest), join(imports, 'short.qcow2'))
      // Its last cluster is the one with the sector that boots.
      await truncate(join(imports, 'short.qcow2'), (await stat(join(imports, guest))).size - 32_768)
      const canary = join(platform.home, 'canary')
      await writeFile(canary, 'do not read me')
      await symlink(canary, join(imports, 'link.raw'))
      await makeOverlay(join(imports, 'overlay.qcow2'), canary)
      await platform.apply(
        image('none', 'none.qcow2'),
        image('link', 'link.raw', { format: 'raw' }),
        image('wrong', guest, { checksum: `sha256:${'0'.repeat(64)}` }),
        image('short', 'short.qcow2'),
        image('overlay', 'overlay.qcow2'),
        machine('from-overlay', { rootDisk: { imageRef: { name: 'overlay' } } }),
        machine('from-nothing', { rootDisk: { imageRef: { name: 'no-such-image' } } }),
        machine('small', { rootDisk: { imageRef: { name: 'holdfast-guest' }, size: '32Mi' } }),
      )
      const told = async (plural: string, name: string) =>
        eventually(async () => {
          const found = condition(await platform.get(plural, name))
          return found !== undefined && found.status !== 'True' && found.reason !== 'Checking' && found
        })
      expect(await told('images', 'none')).toMatchObject({
        reason: 'FileNotFound',
        message: expect.stringMatching(/none\.qcow2/),
      })
      expect(await told('images', 'link')).toMatchObject({ reason: 'OutsideImportFolder' })
      expect(await told('images', 'wrong')).toMatchObject({ reason: 'ChecksumMismatch' })
      expect(await told('images', 'short')).toMatchObject({ reason: 'ImageTruncated' })
      expect(await told('images', 'overlay')).toMatchObject({
        reason: 'ImageRefused',
        message: expect.stringMatching(/backing file/),
      })
      expect(await told('virtualmachines', 'from-overlay')).toMatchObject({ reason: 'ImageNotReady' })
      expect(await told('virtualmachines', 'from-nothing')).toMatchObject({
        reason: 'ImageNotFound',
        message: 'There is no Image no-such-image in namespace default: create it',
      })
      expect(await told('virtualmachines', 'small')).toMatchObject({
        reason: 'DiskTooSmall',
        message: expect.stringMatching(/64Mi or more/),
      })
      expect((await platform.list('disks')).map(({ metadata }) => metadata.name)).toEqual(['hello-root'])
    })

    test('is mended by what its sentence says: the image is made, and the machine starts', async () => {
      await platform.apply(image('no-such-image', guest))
      await copyFile(join(platform.home, 'import', guest), join(platform.home, 'import', 'none.qcow2'))
      const mended = await eventually(async () => {
        const found = [await platform.get('virtualmachines', 'from-nothing'), await platform.get('images', 'none')]
        return found.every(isReady) && found
      })
      expect(mended.map((object) => condition(object)?.message)).toEqual(['', ''])
    })

    test('with a disk: a second machine does not get one that is in use', async () => {
      await platform.apply(disk('shared'), machine('first', { disks: [{ diskRef: { name: 'shared' } }] }))
      await platform.ready('virtualmachines', 'first', SHORT_MS)
      await platform.apply(machine('second', { disks: [{ diskRef: { name: 'shared' } }] }))
      const found = await eventually(async () => {
        const ready = condition(await platform.get('virtualmachines', 'second'))
        return ready?.reason === 'DiskInUse' && ready
      })
      expect(found.message).toBe(
        'Disk shared is attached to VirtualMachine first: detach it there first, or use another disk',
      )
      // Once it is free, the second machine gets it.
      await platform.kubectl('delete', 'hfvm', 'first', '--timeout=60s')
      await platform.ready('virtualmachines', 'second', SHORT_MS)
    })

    test('with a data storage: a path that is not there', async () => {
      await platform.apply(dataStorage('missing', 'host-1', '/nonexistent/holdfast'))
      const found = await eventually(async () => {
        const ready = condition(await platform.get('datastorages', 'missing'))
        return ready?.reason === 'PathMissing' && ready
      })
      expect(found.message).toMatch(/\/nonexistent\/holdfast/)
    })

    test('on a host: no QEMU', async () => {
      await using second = await startAgent(platform, 'host-2', { HOLDFAST_AGENT_QEMU: '/nonexistent/qemu' })
      await platform.apply(host('host-2', second.port), machine('lost', { placement: { host: 'host-2' } }))
      const found = await eventually(async () => {
        const ready = condition(await platform.get('hosts', 'host-2'))
        return ready?.reason === 'QemuMissing' && ready
      })
      expect(found.message).toMatch(/apt-get install qemu-system-x86/)
      await eventually(async () => condition(await platform.get('virtualmachines', 'lost'))?.reason === 'NoHostFits')
      await platform.kubectl('delete', 'hfvm', 'lost')
      await platform.deleteConfirmed('hfhost', 'host-2')
    })

    test('leaves everything that runs as it was', async () => {
      expect(isReady(await platform.get('virtualmachines', 'hello'))).toBe(true)
      expect(await platform.local('status')).toMatchObject({
        stdout: expect.stringMatching(/controllers +process \d+/),
      })
    })
  })
}

describe('A mistake on the command line', () => {
  test('a port that is taken', async () => {
    await using platform = await newPlatform()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const { code, stdout, stderr } = await platform.start('--port', String(port))
    server.close()
    expect(code).toBe(1)
    expect(stdout + stderr).toContain(`port ${port} of 127.0.0.1 is taken by another program`)
    expect(stdout + stderr).toContain('npm start -- --port NUMBER')
  })

  test.each([
    ['a kubeconfig that is not there', ['--kubeconfig', '/nonexistent'], /cannot be read; name a file that exists/],
    [
      'one port for two',
      ['--port', '25556', '--agent-port', '25556'],
      /--port and --agent-port are both 25556: choose two/,
    ],
    ['a port that is none', ['--port', '99999'], /--port 99999 is not a port: write a number from 1 to 65535/],
    ['more controllers than are possible', ['--controllers', '6'], /--controllers 6 is .* a number from 1 to 5/],
    ['an option that there is not', ['--prot', '1'], /Unknown option '--prot'[^]*usage:/],
  ])('%s', async (_what, options, sentence) => {
    await using platform = await newPlatform()
    const { code, stdout, stderr } = await platform.start(...options)
    expect(code).not.toBe(0)
    expect(stdout + stderr).toMatch(sentence)
  })

  test('a kubeconfig that is not one, and one whose cluster is away', async () => {
    await using platform = await newPlatform()
    const path = join(platform.home, 'given')
    await writeFile(path, 'a: [')
    const garbage = await platform.start('--kubeconfig', path)
    expect(garbage.stdout + garbage.stderr).toMatch(/is not YAML; name a file that kubectl accepts/)
    await writeFile(path, awayKubeconfig)
    const away = await platform.start('--kubeconfig', path)
    expect(away.code).toBe(1)
    expect(away.stdout + away.stderr).toMatch(/no Kubernetes API answers where .* says/)
  })

  test('a home that guests cannot reach, or that is a file', async () => {
    await using platform = await newPlatform()
    const closed = join(platform.home, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const within = await new Platform(join(closed, 'home')).start()
    expect(within.stderr).toMatch(
      /cannot pass through .*closed to their disks: choose another folder with HOLDFAST_HOME/,
    )
    await writeFile(join(platform.home, 'file'), '')
    const file = await new Platform(join(platform.home, 'file')).start()
    expect(file.stderr).toMatch(/choose another folder with HOLDFAST_HOME/)
  })
})

const awayKubeconfig = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'a',
  clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }],
  users: [{ name: 'a', user: {} }],
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
})

/** A qcow2 whose backing file is a file of the host. */
async function makeOverlay(path: string, backing: string): Promise<void> {
  await promisify(execFile)('qemu-img', ['create', '-f', 'qcow2', '-b', backing, '-F', 'raw', path, '64M'])
}

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { Cluster, manifest, type Written } from './testing/cluster.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await Cluster.connect(inject('kubeconfig'))
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

const rootDisk = { imageRef: { name: 'debian' } }
const vm = (spec: object, name?: string) => manifest('VirtualMachine', { memory: '1Gi', rootDisk, ...spec }, name)
const FILE = '00000001-0000-4000-8000-000000000000'
const disk = (spec: object, name?: string) => manifest('Disk', { size: '1Gi', ...spec }, name)
const image = (file: object, more: object = {}) => manifest('Image', { source: { file }, ...more })
const http = (url: string, more: object = {}, spec: object = { checksum: `sha256:${'a'.repeat(64)}` }) =>
  manifest('Image', { source: { http: { url, ...more } }, ...spec })
const imports = (settings: object) => manifest('PlatformSettings', { imports: settings }, 'default')
const storage = (local: object, more: object = {}) => manifest('DataStorage', { local, ...more })
const host = (spec: object) => manifest('Host', { address: '10.0.0.5', ...spec })
const placement = (settings: object) => manifest('PlatformSettings', { placement: settings }, 'default')
const disks = (...names: string[]) => ({ disks: names.map((name) => ({ diskRef: { name } })) })

const deletion = (settings: object) => manifest('PlatformSettings', { deletion: settings }, 'default')
const RETENTION = 'write a whole number with s, m, h or d, from 10s to 9999d, such as 7d'

const SIZE = 'write a whole number from 1 with Mi, Gi or Ti and without a space, such as 4Gi'
const EITHER = 'name either imageRef, to make a new root disk, or diskRef, to boot from an existing Disk'
const NAME =
  'write a name that an object can have: small letters, digits, dashes and dots, with a letter or a digit at both ends'
const IMAGE_PATH =
  "write a path below the host's import folder, such as debian-12.qcow2, without a leading / and without .."
const CHECKSUM = 'write sha256: and the 64 lowercase hexadecimal digits that sha256sum prints'
const ONE_SOURCE = 'name one source: file, for a file in the import folder of a host, or http, for one on a server'
const SCHEME = 'write a URL that begins with http:// or https://'
const FOLDER =
  'write the absolute path of a folder of its own, such as /srv/holdfast/disks, without . or .. and without // or a / at its end'
const ADDRESS = 'write an IP address or a DNS name, such as 10.0.0.5; the port is in spec.port'
const ATTACHED = 'the root disk is attached already; leave it out of spec.disks'

describe('A manifest is refused with what to do', () => {
  test.each<[string, Written, string]>([
    ['memory 4 GB', vm({ memory: '4 GB' }), `spec.memory: Invalid value: "4 GB": ${SIZE}`],
    ['memory 0Gi', vm({ memory: '0Gi' }), `spec.memory: Invalid value: "0Gi": ${SIZE}`],
    ['memory 4.5Gi', vm({ memory: '4.5Gi' }), `spec.memory: Invalid value: "4.5Gi": ${SIZE}`],
    ['memory as a number', vm({ memory: 4 }), '.spec.memory: expected string, got'],
    ['memory beyond all', vm({ memory: '65Ti' }), 'spec.memory: Invalid value: "65Ti": ask for at most 64Ti'],
    ['too little memory', vm({ memory: '15Mi' }), 'spec.memory: Invalid value: "15Mi": ask for at least 16Mi'],
    ['no memory', vm({ memory: undefined }), 'spec.memory: Required value'],
    ['no spec', manifest('VirtualMachine', null), 'spec in body must be of type object: "null"'],

    [
      'both imageRef and diskRef',
      vm({ rootDisk: { ...rootDisk, diskRef: { name: 'b' } } }),
      `spec.rootDisk: Invalid value: ${EITHER}`,
    ],
    ['neither of them', vm({ rootDisk: {} }), `spec.rootDisk: Invalid value: ${EITHER}`],
    ['no rootDisk', vm({ rootDisk: undefined }), 'spec.rootDisk: Required value'],
    ['null as rootDisk', vm({ rootDisk: null }), 'spec.rootDisk in body must be of type object: "null"'],
    [
      'null as imageRef',
      vm({ rootDisk: { imageRef: null } }),
      'spec.rootDisk.imageRef in body must be of type object: "null"',
    ],
    ['a text as imageRef', vm({ rootDisk: { imageRef: 'debian' } }), '.spec.rootDisk.imageRef: expected map, got'],
    [
      'an empty name',
      vm({ rootDisk: { imageRef: { name: '' } } }),
      'spec.rootDisk.imageRef.name in body should be at least 1 chars long',
    ],
    [
      'a name that no object has',
      vm({ rootDisk: { imageRef: { name: 'bär' } } }),
      `spec.rootDisk.imageRef.name: Invalid value: "bär": ${NAME}`,
    ],
    [
      'a Host that none is',
      vm({ placement: { host: '../etc' } }),
      `spec.placement.host: Invalid value: "../etc": ${NAME}`,
    ],
    [
      'size with diskRef',
      vm({ rootDisk: { diskRef: { name: 'b' }, size: '1Gi' } }),
      'size and dataStorage belong to a new disk: use them with imageRef, not with diskRef',
    ],

    ['an unknown field', vm({ rnStrategy: 'Always' }), '.spec.rnStrategy: field not declared in schema'],
    [
      'an unknown field within',
      vm({ rootDisk: { ...rootDisk, sise: '1Gi' } }),
      '.spec.rootDisk.sise: field not declared in schema',
    ],
    [
      'an unknown runStrategy',
      vm({ runStrategy: 'on' }),
      'spec.runStrategy: Unsupported value: "on": supported values: "Always", "RerunOnFailure", "Manual", "Halted"',
    ],
    [
      'a machine type of another family',
      vm({ machineType: 'i440fx' }),
      'write q35, or one version of it such as pc-q35-7.2',
    ],
    [
      'a time with small letters',
      vm({ power: { request: 'Stop', at: '2026-11-30t07:30:00z' } }),
      'write a time of this century such as 2026-01-31T12:00:00Z',
    ],
    [
      'a time of no year',
      vm({ power: { request: 'Stop', at: '0000-11-30T07:30:00Z' } }),
      'write a time of this century such as 2026-01-31T12:00:00Z',
    ],
    [
      'a time for a brake with small letters',
      deletion({ brakeReleases: [{ person: 'ann', kind: 'Disk', until: '2026-11-30t07:30:00z' }] }),
      'write a time of this century such as 2026-01-31T12:00:00Z',
    ],
    [
      'a brake of no kind',
      deletion({ brakeReleases: [{ person: 'ann', kind: 'disks', until: '2026-11-30T07:30:00Z' }] }),
      'supported values: "VirtualMachine", "Disk"',
    ],
    ['no CPU', vm({ cpus: 0 }), 'spec.cpus in body should be greater than or equal to 1'],
    ['too many CPUs', vm({ cpus: 257 }), 'spec.cpus in body should be less than or equal to 256'],
    ['half a CPU', vm({ cpus: 1.5 }), 'spec.cpus in body must be of type int32'],
    ['a CPU in quotes', vm({ cpus: '2' }), '.spec.cpus: expected numeric (int or float), got string'],
    ['negative seconds', vm({ terminationGracePeriodSeconds: -1 }), 'should be greater than or equal to 0'],
    ['more than an hour', vm({ terminationGracePeriodSeconds: 3601 }), 'should be less than or equal to 3600'],
    [
      'null as hostSelector',
      vm({ placement: { hostSelector: null } }),
      'spec.placement.hostSelector in body must be of type object: "null"',
    ],
    [
      '17 disks',
      vm(disks(...Array.from({ length: 17 }, (_, index) => `d${index}`))),
      'spec.disks: Too many: 17: must have at most 16 items',
    ],
    ['a disk twice', vm(disks('a', 'b', 'a')), 'spec.disks: Invalid value: name each Disk once'],
    ['its root disk twice', vm({ rootDisk: { diskRef: { name: 'a' } }, ...disks('a') }), ATTACHED],
    ['its own root disk', vm(disks('it-root')), ATTACHED],
    ['a machine name of 64 letters', vm({}, 'a'.repeat(64)), 'use a name of at most 63 characters'],
    ['a name of 10 kB', vm({}, 'a'.repeat(10_240)), 'must be no more than 253'],
    ['a name with a capital', vm({}, 'Web'), 'a lowercase RFC 1123 subdomain must consist of lower case'],

    ['a disk without size', disk({ size: undefined }), 'spec.size: Required value'],
    ['a disk of nothing', disk({ size: '0Mi' }), `spec.size: Invalid value: "0Mi": ${SIZE}`],
    [
      'a disk beyond all',
      disk({ size: '99999999999Gi' }),
      'spec.size: Invalid value: "99999999999Gi": ask for at most 64Ti',
    ],
    [
      'a source of nothing',
      disk({ source: {} }),
      'name the image in source.image, or a file that is there in source.existing, or leave source out',
    ],
    [
      'two sources',
      disk({ source: { image: { name: 'a' }, existing: { id: FILE } }, dataStorage: 'local' }),
      'name the image in source.image, or a file that is there in source.existing',
    ],
    ['a file that is nowhere', disk({ source: { existing: { id: FILE } } }), 'say in dataStorage where the existing'],
    ['a file by a path', disk({ source: { existing: { id: '../a' } }, dataStorage: 'local' }), 'source.existing.id'],
    ['a machine that is none', vm({ adopt: { machineId: 'mine' } }), 'spec.adopt.machineId'],
    ['null as source', disk({ source: null }), 'spec.source in body must be of type object: "null"'],
    ['a disk name of 254 letters', disk({}, 'a'.repeat(254)), 'must be no more than 253'],

    ['an absolute image path', image({ path: '/etc/passwd' }), IMAGE_PATH],
    ['a path that leads out', image({ path: '../x' }), IMAGE_PATH],
    ['a path that leads out later', image({ path: 'a/../../b' }), IMAGE_PATH],
    ['an empty path', image({ path: '' }), IMAGE_PATH],
    ['a path with a line break', image({ path: 'a\nb' }), 'it has a character that cannot be printed'],
    ['a path that reads backwards', image({ path: 'a/\u202egmi.war' }), 'it has a character that cannot be printed'],
    ['no path', image({}), 'spec.source.file.path: Required value'],
    ['no source', manifest('Image', { source: {} }), ONE_SOURCE],
    ['two sources', image({ path: 'a' }, { source: { file: { path: 'a' }, http: { url: 'http://a/b' } } }), ONE_SOURCE],
    ['an image by http without checksum', http('https://a/b', {}, {}), 'an image by http needs a checksum'],
    ['a URL of a file', http('file:///etc/passwd'), SCHEME],
    ['a URL of FTP', http('ftp://a/b'), SCHEME],
    ['a URL without a server', http('http:///b'), SCHEME],
    ['no URL', http('x'), SCHEME],
    ['a URL with a password', http('https://me:secret@a/b'), 'leave the user name and the password out'],
    ['a URL with a user', http('https://me@a/b'), 'leave the user name and the password out'],
    ['a URL with a space', http('https://a/b c'), 'write the URL in ASCII'],
    ['a URL with a backslash', http(String.raw`https://a\b`), 'write the URL in ASCII'],
    ['a URL with a fragment', http('https://a/b#c'), 'write the URL in ASCII'],
    ['a URL without end', http(`https://a/${'b'.repeat(2048)}`), 'may not be more than 2048'],
    ['a bundle that is nowhere', http('https://a/b', { caBundle: {} }), 'name one place of the certificates'],
    ['a bundle that is no PEM', http('https://a/b', { caBundle: { inline: 'x' } }), 'write PEM certificates'],
    ['a bundle without end', http('https://a/b', { caBundle: { inline: 'x'.repeat(65_537) } }), 'may not be more than'],
    [
      'an unknown format',
      image({ path: 'a' }, { format: 'vmdk' }),
      'spec.format: Unsupported value: "vmdk": supported values: "qcow2", "raw"',
    ],
    ['a short checksum', image({ path: 'a' }, { checksum: 'abc' }), CHECKSUM],
    ['a checksum in capitals', image({ path: 'a' }, { checksum: `sha256:${'A'.repeat(64)}` }), CHECKSUM],
    ['a checksum of no kind', image({ path: 'a' }, { checksum: 'a'.repeat(64) }), CHECKSUM],

    ['a relative folder', storage({ host: 'a', path: 'srv' }), FOLDER],
    ['a folder that leads out', storage({ host: 'a', path: '/srv/../etc' }), FOLDER],
    ['the root folder', storage({ host: 'a', path: '/' }), FOLDER],
    ['the root folder as //', storage({ host: 'a', path: '//' }), FOLDER],
    ['the root folder as /./', storage({ host: 'a', path: '/./' }), FOLDER],
    ['a folder with empty parts', storage({ host: 'a', path: '///tmp' }), FOLDER],
    ['a folder with an empty part within', storage({ host: 'a', path: '/srv//disks' }), FOLDER],
    ['a folder with a slash at its end', storage({ host: 'a', path: '/srv/disks/' }), FOLDER],
    ['no folder', storage({ host: 'a', path: '' }), FOLDER],
    ['a storage without host', storage({ path: '/srv' }), 'spec.local.host: Required value'],
    [
      'a storage of an unknown type',
      storage({ host: 'a', path: '/srv' }, { type: 'NFS' }),
      'spec.type: Unsupported value: "NFS"',
    ],
    ['a storage that is nowhere', manifest('DataStorage', {}), 'spec.local: Required value'],

    ['an address with a scheme', host({ address: 'https://a' }), ADDRESS],
    ['an address with a port', host({ address: '10.0.0.5:8444' }), ADDRESS],
    ['an address that is no IPv4 address', host({ address: '300.1.1.1' }), ADDRESS],
    ['a name with an empty label', host({ address: 'a..b' }), ADDRESS],
    ['no address', host({ address: '' }), ADDRESS],
    ['port 0', host({ port: 0 }), 'spec.port in body should be greater than or equal to 1'],
    ['port 65536', host({ port: 65_536 }), 'spec.port in body should be less than or equal to 65535'],

    [
      'settings by another name',
      manifest('PlatformSettings', {}, 'mine'),
      'there is one PlatformSettings: name it default',
    ],
    ['another deletion policy', deletion({ disk: { policy: 'Later' } }), 'Unsupported value: "Later"'],
    ['another deletion policy of a disk', disk({ size: '1Gi', deletionPolicy: 'Delay' }), 'Unsupported value: "Delay"'],
    ['a retention of weeks', deletion({ image: { retention: '2w' } }), RETENTION],
    ['a retention of 9 s', deletion({ image: { retention: '9s' } }), RETENTION],
    ['a retention of 10000 d', deletion({ disk: { retention: '10000d' } }), RETENTION],
    ['a brake that stops everything', deletion({ brake: { deletes: 0 } }), 'should be greater than or equal to 1'],
    ['a name reuse that is none', deletion({ onNameReuse: 'Later' }), 'Unsupported value: "Later"'],
    ['too little overcommit', placement({ cpuOvercommitPercent: 99 }), 'should be greater than or equal to 100'],
    ['too much overcommit', placement({ memoryOvercommitPercent: 401 }), 'should be less than or equal to 400'],
    ['an allowed address that is no network', imports({ allowedNetworks: ['10.0.0.1'] }), 'write a network in CIDR'],
    ['an allowed network that is none', imports({ allowedNetworks: ['10.0.0.0/33'] }), 'write a network in CIDR'],
    ['a largest image of 64 GB', imports({ maxImageSize: '64 GB' }), SIZE],
    ['a negative reserve', placement({ reservedMemoryMi: -1 }), 'should be greater than or equal to 0'],
  ])('%s', async (_name, bad, sentence) => {
    expect(await cluster.objection(bad)).toContain(sentence)
  })
})

describe('A manifest is accepted', () => {
  test.each<[string, Written]>([
    ['a machine name of 63 letters', vm({}, 'a'.repeat(63))],
    ['a machine name that YAML may read as a boolean', vm({}, 'no')],
    ['16 disks', vm(disks(...Array.from({ length: 16 }, (_, index) => `d${index}`)))],
    ['null where there is a default', vm({ runStrategy: null, disks: null, placement: null })],
    ['the least memory', vm({ memory: '16Mi' })],
    ['the largest size', vm({ memory: '64Ti' })],
    ['a disk name of 253 letters', disk({}, `${'a'.repeat(63)}.${'b'.repeat(189)}`)],
    ['a path in a folder, with dots in its names', image({ path: 'debian/..12/disk.v1..qcow2' })],
    ['an image by http', http('https://files.example.com:8443/a/b.qcow2?c=d@e')],
    ['an image from an IPv6 address', http('http://[2001:db8::1]/b')],
    ['a bundle in a ConfigMap', http('https://a/b', { caBundle: { configMapKeyRef: { name: 'a' } } })],
    ['allowed networks', imports({ allowedNetworks: ['10.0.0.0/8', 'fd00::/8'] })],
    ['a folder, with dots in its names', storage({ host: 'a', path: '/srv/..a/b.' })],
    ['a folder below the root', storage({ host: 'a', path: '/srv' })],
    ['an IPv6 address', host({ address: 'fd00::5' })],
    ['a DNS name', host({ address: 'host-1.example.com' })],
  ])('%s', async (_name, good) => {
    expect(await cluster.objection(good)).toBe('accepted')
  })
})

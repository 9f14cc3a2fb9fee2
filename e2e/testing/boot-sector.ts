import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** As large as the small Linux that `npm start` builds. */
const SIZE_BYTES = 64 * 2 ** 20
const SECTOR_BYTES = 512
const SIGNATURE = 'aa55'

/** 16-bit code at 0000:7C00, where the firmware puts the first sector of a disk; DL is the disk. */
const code = [
  ['31c0 8ed8 8ec0 8ed0', 'xor ax, ax; mov ds, ax; mov es, ax; mov ss, ax'],
  ['bc007c fc', 'mov sp, 7C00; cld'],
  ['fe068a7c', 'inc byte [7C8A]: the number of boots, which is text'],
  ['b80103 bb007c b90100 b600 cd13', 'ax = 0301, bx = 7C00, cx = 0001, dh = 0; int 13: write this sector back'],
  ['ba0206 b80001 ef', 'out 0602, 0100: tell of the power button (ACPI PM1_EN)'],
  ['be5c7c e81b00', 'mov si, 7C5C; call print'],
  ['ba0006', 'mov dx, 0600 (ACPI PM1_STS)'],
  ['fb f4 ed f6c401 74f8', 'wait: sti; hlt; in ax, dx; test ah, 1; jz wait'],
  ['be8e7c e80a00', 'mov si, 7C8E; call print'],
  ['ba0406 b80020 ef', 'out 0604, 2000: off (ACPI PM1_CNT)'],
  ['f4 ebfd', 'dead: hlt; jmp dead'],
  ['ac 84c0 7411 88c3', 'print: lodsb; test al, al; jz done; mov bl, al'],
  ['bafd03 ec a820 74fb', 'mov dx, 03FD; busy: in al, dx; test al, 20; jz busy'],
  ['b2f8 88d8 ee ebea', 'mov dl, F8; mov al, bl; out dx, al; jmp print'],
  ['c3', 'done: ret'],
] as const

/** At 7C5C, and at 7C8E. */
const texts = [
  'holdfast-guest: booted\r\nholdfast-guest: boots 0\r\n',
  'holdfast-guest: power button\r\nholdfast-guest: off\r\n',
]

/**
 * Writes a guest that is one sector: it says on its serial console that it boots and how often it did, which it counts
 * on its disk up to nine, and switches itself off when the power button is pressed. Under emulation it boots in a
 * thirtieth of the time of the small Linux, so it is what tests have that need no more.
 */
export async function writeBootSector(image: string): Promise<void> {
  const bytes = Buffer.from(code.map(([hex]) => hex.replaceAll(' ', '')).join(''), 'hex')
  const sector = Buffer.alloc(SECTOR_BYTES)
  Buffer.concat([bytes, Buffer.from(texts.map((text) => `${text}\0`).join(''))]).copy(sector)
  sector.writeUInt16LE(Number.parseInt(SIGNATURE, 16), SECTOR_BYTES - 2)
  const raw = `${image}.raw`
  await writeFile(raw, sector)
  await promisify(execFile)('qemu-img', ['resize', '-q', '-f', 'raw', raw, String(SIZE_BYTES)])
  await promisify(execFile)('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image])
  await rm(raw)
}

import { truncate, writeFile } from 'node:fs/promises'

/** As large as the small Linux that `npm start` builds. */
const SIZE_BYTES = 64 * 2 ** 20
const SECTOR_BYTES = 512
const SIGNATURE = 'aa55'

/** 16-bit code at 0000:7C00, where the firmware puts the first sector of a disk; DL is the disk. */
const code = [
  ['31c0 8ed8 8ec0 8ed0', 'xor ax, ax; mov ds, ax; mov es, ax; mov ss, ax'],
  ['bc007c fc', 'mov sp, 7C00; cld'],
  ['fe06bb7c', 'inc byte [7CBB]: the number of boots, which is text'],
  ['b80103 bb007c b90100 b600 cd13', 'ax = 0301, bx = 7C00, cx = 0001, dh = 0; int 13: write this sector back'],
  ['ba0206 b80001 ef', 'out 0602, 0100: tell of the power button (ACPI PM1_EN)'],
  ['be7d7c e83c00', 'mov si, 7C7D; call print'],
  ['fb f4 ba0006 ed f6c401 751c', 'wait: sti; hlt; in ax, 0600 (ACPI PM1_STS); test ah, 1; jnz button'],
  ['bafd03 ec a801 74ed', 'in al, 03FD; test al, 1: nothing was typed; jz wait'],
  ['b2f8 ec 3c6f 7413', 'in al, 03F8; cmp al, "o"; je off'],
  ['3c72 75e2', 'cmp al, "r"; jne wait'],
  ['baf90c b006 ee', 'out 0CF9, 06: reset'],
  ['f4 ebfd', 'dead: hlt; jmp dead'],
  ['bebf7c e80f00', 'button: mov si, 7CBF; call print'],
  ['bede7c e80900', 'off: mov si, 7CDE; call print'],
  ['ba0406 b80020 ef ebe8', 'out 0604, 2000: off (ACPI PM1_CNT); jmp dead'],
  ['ac 84c0 7411 88c3', 'print: lodsb; test al, al; jz done; mov bl, al'],
  ['bafd03 ec a820 74fb', 'mov dx, 03FD; busy: in al, dx; test al, 20; jz busy'],
  ['b2f8 88d8 ee ebea', 'mov dl, F8; mov al, bl; out dx, al; jmp print'],
  ['c3', 'done: ret'],
] as const

/** At 7C7D, at 7CBF, and at 7CDE. */
const texts = [
  'holdfast-guest: booted from one sector\r\nholdfast-guest: boots 0\r\n',
  'holdfast-guest: power button\r\n',
  'holdfast-guest: off\r\n',
]

/**
 * Writes a guest that is one sector, as a raw image: it says on its serial console that it boots and how often it did,
 * which it counts on its disk up to nine, and switches itself off when the power button is pressed. An `o` that is typed
 * on the console switches it off too, an `r` has it boot again. Under emulation it boots in a thirtieth of the time of
 * the small Linux, so it is what tests have that need no more.
 */
export async function writeBootSector(path: string): Promise<void> {
  const bytes = Buffer.from(code.map(([hex]) => hex.replaceAll(' ', '')).join(''), 'hex')
  const sector = Buffer.alloc(SECTOR_BYTES)
  Buffer.concat([bytes, Buffer.from(texts.map((text) => `${text}\0`).join(''))]).copy(sector)
  sector.writeUInt16LE(Number.parseInt(SIGNATURE, 16), SECTOR_BYTES - 2)
  await writeFile(path, sector)
  await truncate(path, SIZE_BYTES)
}

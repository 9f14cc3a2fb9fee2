import { describePart } from './testing/whole-sweep.ts'

describePart(2)

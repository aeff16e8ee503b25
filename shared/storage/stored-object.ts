/** An object named by its content, as records refer to it. */
export interface StoredObject {
  readonly object: string;
  /** Hex. */
  readonly sha256: string;
  readonly bytes: number;
}

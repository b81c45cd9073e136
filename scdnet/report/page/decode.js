/** Return the bytes of a base64 text; white space is ignored. */
export function decodeBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) {
    bytes[i] = binary.charCodeAt(i);
  }
  return bytes;
}

/** Decompress zlib bytes with the browser's own decoder. */
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Parse the payload of the page: base64 of zlib of JSON. */
export async function decodeReport(text) {
  const bytes = await inflate(decodeBase64(text));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Write the int16 numbers of a block (all low bytes, then all high bytes) into `out` from `start`. */
export function joinBytes(bytes, out, start) {
  const num = bytes.length >> 1;
  for (let i = 0; i < num; i += 1) {
    out[start + i] = bytes[i] | (bytes[num + i] << 8);
  }
  return start + num;
}

/**
 * Undo the differences between frames, modulo 2^16.
 *
 * @param {Int16Array} differences (frames * stride): the first frame is absolute
 * @param {number} stride numbers per frame
 * @returns {Int16Array} the positions in millimeters (2-D: in 1/1000 of the trunk)
 */
export function sumDifferences(differences, stride) {
  const positions = new Int16Array(differences.length);
  positions.set(differences.subarray(0, stride));
  for (let i = stride; i < differences.length; i += 1) {
    // Storing into an Int16Array wraps around as the encoder did.
    positions[i] = positions[i - stride] + differences[i];
  }
  return positions;
}

/** The motion of all embedded sequences; each is decoded when it is first shown. */
export class Motions {
  /** Reserve memory for the motion of a report; `load` fills it. */
  constructor(report) {
    const { frames, bodies, offset } = report.sequences;
    this.report = report;
    this.joints = report.skeleton.joints.length;
    this.dims = report.skeleton.dims;
    this.cache = new Map();
    this.numLoaded = 0;
    let total = 0;
    for (let row = 0; row < frames.length; row += 1) {
      total = Math.max(total, offset[row] + frames[row] * this.stride(bodies[row]));
    }
    this.differences = new Int16Array(total);
  }

  /** Return how many numbers a frame of a sequence of `bodies` bodies has. */
  stride(bodies) {
    return bodies * this.joints * this.dims;
  }

  /** Decode base64 texts in order and call `onBlock` after each, so that the page stays responsive. */
  async load(texts, onBlock) {
    for (const text of texts) {
      const bytes = await inflate(decodeBase64(text));
      this.numLoaded = joinBytes(bytes, this.differences, this.numLoaded);
      onBlock();
    }
  }

  /** Report whether the motion of a row is part of the file. */
  has(row) {
    return this.report.sequences.frames[row] > 0;
  }

  /**
   * Return the motion of a row, or null if it was left out or is not loaded yet.
   *
   * @returns {?{frames: number, bodies: number, joints: number, dims: number, positions: Int16Array}}
   *   positions (frame, body, joint, coordinate) in millimeters; -32768 as the first coordinate
   *   means that the joint is absent
   */
  get(row) {
    const cached = this.cache.get(row);
    if (cached) {
      return cached;
    }
    const { frames, bodies, offset } = this.report.sequences;
    const stride = this.stride(bodies[row]);
    const end = offset[row] + frames[row] * stride;
    if (!this.has(row) || end > this.numLoaded) {
      return null;
    }
    const positions = sumDifferences(this.differences.subarray(offset[row], end), stride);
    const { joints, dims } = this;
    const motion = { frames: frames[row], bodies: bodies[row], joints, dims, positions };
    this.cache.set(row, motion);
    return motion;
  }
}

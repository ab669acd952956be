# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""G.711 both ways (ITU-T G.711), by table: what the recorder's own decoder is judged by.

Written from the Recommendation and not from src/audio, so that the two can disagree.
Samples are signed 16-bit integers; payloads are bytes.
"""

import array
import bisect


def _ulaw_sample(code):
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _alaw_sample(code):
    code ^= 0x55
    exponent = code >> 4 & 7
    magnitude = ((code & 0x0F) << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if code & 0x80 else -magnitude


DECODE = {
    "PCMU": [_ulaw_sample(c) for c in range(256)],
    "PCMA": [_alaw_sample(c) for c in range(256)],
}


def decode(codec, payload):
    """The samples of a payload, as bytes of native 16-bit integers."""
    table = DECODE[codec]
    return array.array("h", [table[c] for c in payload]).tobytes()


def _encoder(codec):
    pairs = sorted((sample, code) for code, sample in enumerate(DECODE[codec]))
    samples = [sample for sample, _ in pairs]
    codes = [code for _, code in pairs]

    def nearest(sample):
        i = bisect.bisect_left(samples, sample)
        if i == len(samples) or (i and sample - samples[i - 1] <= samples[i] - sample):
            i -= 1
        return codes[i]

    return nearest


def encode(codec, samples):
    """A payload whose decoded samples are the nearest there are."""
    nearest = _encoder(codec)
    return bytes(nearest(s) for s in samples)

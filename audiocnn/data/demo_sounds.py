"""Ten kinds of city-like sound, synthesised: the waveforms behind the built-in demo.

A kind is a function `sound(recording, take)` of two random generators. What belongs to a recording (pitch, speed,
timbre) is drawn from the first, which starts alike for all clips of the recording; what belongs to the clip alone
(timing, noise) from the second. It returns a float64 waveform (SAMPLES,), at no particular level.

A waveform is a continuous function of what is drawn, with no jumps: where another CPU's sine differs in the last bit,
the waveform differs by little. Draws are `random` and `uniform` only, which numpy makes from PCG64's integers by plain
arithmetic.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # Hz
SAMPLES = 8000  # one second

Wave = NDArray[np.float64]
Random = np.random.Generator
Sound = Callable[[Random, Random], Wave]

_TIME: Wave = np.arange(SAMPLES) / RATE  # seconds
_FREQUENCIES: Wave = np.maximum(np.fft.rfftfreq(SAMPLES, 1 / RATE), 1.0)  # Hz; 1 for 0, so that it has a logarithm


def hiss(take: Random, slope: float) -> Wave:
    """Noise whose power changes by `slope` dB an octave (-3 is pink), unit RMS."""
    return level(_filtered(_white(take), _FREQUENCIES ** (slope / 6.02)))


def microphone(wave: Wave, recording: Random) -> Wave:
    """What a place and a microphone make of a sound: a tilted spectrum, a resonance, a notch."""
    tilt = _FREQUENCIES ** (recording.uniform(-4.0, 3.0) / 6.02)
    resonance = 1.0 + recording.uniform(0.0, 2.0) * _band(_between(recording, 200, 3000), 0.25)
    notch = 1.0 - recording.uniform(0.0, 0.9) * _band(_between(recording, 200, 3000), 0.3)
    return _filtered(wave, tilt * resonance * notch)


def level(wave: Wave) -> Wave:
    """The wave at unit RMS."""
    scaled: Wave = wave / np.sqrt(np.mean(wave**2))
    return scaled


def _air_conditioner(recording: Random, take: Random) -> Wave:
    """Low, steady rush of air with the hum of a fan."""
    rush = _filtered(_white(take), _band(_between(recording, 150, 500), recording.uniform(0.8, 1.4)))
    hum = _tone(_wander(take, _between(recording, 90, 180), 0.01), recording.uniform(2.0, 6.0))
    throb = 1.0 + recording.uniform(0.0, 0.3) * np.sin(_cycles(take, _between(recording, 1, 6)))
    return (level(rush) + recording.uniform(0.2, 0.8) * level(hum)) * throb


def _car_horn(recording: Random, take: Random) -> Wave:
    """One or two blasts of two reed tones at once, a third or so apart."""
    pitch, sharpness = _between(recording, 280, 520), recording.uniform(4.0, 15.0)
    reeds = _tone(_steady(pitch), sharpness) + _tone(_steady(pitch * recording.uniform(1.18, 1.28)), sharpness)
    first = take.uniform(0.0, 0.3)
    blasts = _gate(first, first + take.uniform(0.15, 0.4))
    if recording.random() < 0.5:
        blasts = blasts + _gate(first + 0.5, first + take.uniform(0.6, 0.9))
    return reeds * blasts


def _children_playing(recording: Random, take: Random) -> Wave:
    """Some high voices that call with gliding pitch, each with its formants, over a murmur."""
    wave = 0.15 * level(_filtered(_white(take), _band(1000, 0.7)))
    for _ in range(int(recording.uniform(2, 5))):
        start, length = take.uniform(0.0, 0.8), take.uniform(0.1, 0.35)
        glide = 1.0 + take.uniform(-0.3, 0.3) * np.sin(np.pi * (_TIME - start) / length)
        voice = _tone(_between(take, 280, 520) * glide, 12.0)
        formants = _band(_between(take, 600, 1100), 0.25) + 0.6 * _band(_between(take, 1600, 2800), 0.25)
        wave = wave + level(_filtered(voice, formants)) * _gate(start, start + length)
    return wave


def _dog_bark(recording: Random, take: Random) -> Wave:
    """Short barks: a rough voice that rises and falls, with breath in it."""
    pitch, wave = _between(recording, 250, 700), np.zeros(SAMPLES)
    gap, decay, start = recording.uniform(0.25, 0.5), recording.uniform(0.04, 0.07), take.uniform(0.0, 0.2)
    formant = _band(pitch * recording.uniform(1.8, 2.6), 0.6)
    for _ in range(int(take.uniform(1, 4))):
        glide = pitch * (0.7 + 0.5 * np.exp(-(((_TIME - start - 0.04) / 0.06) ** 2)))
        voice = level(_filtered(_tone(glide, 6.0), formant)) + 0.4 * level(_filtered(_white(take), formant))
        wave = wave + take.uniform(0.6, 1.0) * voice * _strike(start, 0.01, decay)
        start = start + gap * take.uniform(0.8, 1.2)
    return wave


def _drilling(recording: Random, take: Random) -> Wave:
    """A motor's whine that sinks under load, with the grinding of the bit."""
    load = 1.0 - recording.uniform(0.05, 0.2) * _gate(take.uniform(0.1, 0.5), take.uniform(0.6, 1.2), 0.05)
    pitch = _wander(take, _between(recording, 180, 420), 0.02) * load
    grind = _filtered(_white(take), _band(_between(recording, 1500, 3000), 0.5))
    teeth = 1.0 + 0.6 * np.sin(np.cumsum(pitch) * (2 * np.pi / RATE) / 4)
    return level(_tone(pitch, recording.uniform(10.0, 40.0))) + recording.uniform(0.4, 1.0) * level(grind) * teeth


def _engine_idling(recording: Random, take: Random) -> Wave:
    """Slow, uneven firing of cylinders through an exhaust."""
    firing = np.cumsum(_wander(take, _between(recording, 18, 40), 0.06)) * (2 * np.pi / RATE)
    uneven = 1.0 + recording.uniform(0.1, 0.5) * np.sin(firing / 4)
    strokes = _pulses(firing, recording.uniform(4.0, 12.0)) * uneven
    exhaust = _band(_between(recording, 60, 160), 0.8)
    rattle = _filtered(_white(take), _band(_between(recording, 400, 1200), 0.7))
    return level(_filtered(strokes, exhaust)) + recording.uniform(0.2, 0.6) * level(rattle) * strokes


def _gun_shot(recording: Random, take: Random) -> Wave:
    """One to three cracks, each with a dull tail that the place gives back."""
    crack = _filtered(_white(take), _band(_between(recording, 700, 2200), 1.2))
    tail = _filtered(_white(take), _band(_between(recording, 200, 600), 0.9))
    decay, wave, start = recording.uniform(0.08, 0.25), np.zeros(SAMPLES), take.uniform(0.0, 0.4)
    for _ in range(int(take.uniform(1, 3.5))):
        wave = wave + level(crack) * _strike(start, 0.001, 0.02) + 0.4 * level(tail) * _strike(start, 0.005, decay)
        start = start + take.uniform(0.15, 0.4)
    return wave


def _jackhammer(recording: Random, take: Random) -> Wave:
    """Fast, even blows of metal on stone, in a burst."""
    blows = _pulses(_cycles(take, _wander(take, _between(recording, 9, 18), 0.03)), recording.uniform(6.0, 20.0))
    stone = _filtered(_white(take), _band(_between(recording, 500, 1500), 0.9))
    steel = _filtered(_white(take), _band(_between(recording, 1200, 3000), 0.06))
    burst = _gate(take.uniform(-0.6, 0.3), take.uniform(0.8, 1.5))
    return (level(stone) + recording.uniform(0.3, 1.0) * level(steel)) * blows * burst


def _siren(recording: Random, take: Random) -> Wave:
    """A bright tone that swings up and down, slowly (wail) or fast (yelp)."""
    low = _between(recording, 450, 750)
    swing = 0.5 + 0.5 * np.sin(_cycles(take, _between(recording, 0.5, 4.0)))
    return _tone(low * recording.uniform(1.6, 2.4) ** swing, recording.uniform(1.0, 6.0))


def _street_music(recording: Random, take: Random) -> Wave:
    """A plucked tune of notes in a pentatonic scale over a held bass."""
    key, beat = _between(recording, 180, 360), recording.uniform(0.14, 0.26)
    wave = recording.uniform(0.1, 0.4) * level(_tone(_steady(key / 2), 2.0))
    start, sharpness = take.uniform(0.0, beat) - 0.3, recording.uniform(1.0, 6.0)
    while start < 1.0:
        step = (0, 2, 4, 7, 9, 12, 14)[int(take.uniform(0, 7))]
        wave = wave + level(_tone(_steady(key * 2.0 ** (step / 12)), sharpness)) * _strike(start, 0.005, 0.15)
        start = start + beat
    return wave


SOUNDS: dict[str, Sound] = {
    "air_conditioner": _air_conditioner,
    "car_horn": _car_horn,
    "children_playing": _children_playing,
    "dog_bark": _dog_bark,
    "drilling": _drilling,
    "engine_idling": _engine_idling,
    "gun_shot": _gun_shot,
    "jackhammer": _jackhammer,
    "siren": _siren,
    "street_music": _street_music,
}  # in the order of their labels, which are UrbanSound8K's


def _between(random: Random, low: float, high: float) -> float:
    """A number between two, evenly in its logarithm, as pitches and speeds are heard."""
    return float(low * (high / low) ** random.random())


def _white(take: Random) -> Wave:
    return take.random(SAMPLES) - 0.5


def _steady(pitch: float) -> Wave:
    return np.full(SAMPLES, pitch)


def _wander(take: Random, pitch: float, share: float) -> Wave:
    """A pitch in Hz (SAMPLES,) that drifts by up to `share` of itself."""
    drift = np.sin(_cycles(take, take.uniform(0.3, 1.0))) + np.sin(_cycles(take, take.uniform(1.0, 4.0)))
    return pitch * (1.0 + share / 2 * drift)


def _cycles(take: Random, pitch: float | Wave) -> Wave:
    """The phase in radians of an oscillation at `pitch` Hz, from a random start."""
    phase: Wave = 2 * np.pi * (take.random() + np.cumsum(np.broadcast_to(pitch, SAMPLES)) / RATE)
    return phase


def _pulses(phase: Wave, sharpness: float) -> Wave:
    """Smooth pulses from 0 to 1, one a cycle; `sharpness` is about the square of the number of strong overtones."""
    pulses: Wave = np.exp(sharpness * (np.cos(phase) - 1.0))
    return pulses


def _tone(pitch: Wave, sharpness: float) -> Wave:
    """A tone with overtones whose pitch in Hz is given at each sample."""
    pulses = _pulses(np.cumsum(pitch) * (2 * np.pi / RATE), sharpness)
    tone: Wave = pulses - pulses.mean()
    return tone


def _gate(start: float, end: float, edge: float = 0.01) -> Wave:
    """1 between two times in seconds and 0 outside, with soft edges of `edge` seconds."""
    gate: Wave = 1.0 / (1.0 + np.exp(-(_TIME - start) / edge * 4)) / (1.0 + np.exp((_TIME - end) / edge * 4))
    return gate


def _strike(start: float, attack: float, decay: float) -> Wave:
    """A quick rise at `start` and an exponential decay, both in seconds."""
    since = np.maximum(_TIME - start, 0.0)
    strike: Wave = (1.0 - np.exp(-since / attack)) * np.exp(-since / decay)
    return strike


def _band(centre: float, octaves: float) -> Wave:
    """The gains of a band-pass around `centre` Hz, `octaves` wide to either side."""
    gains: Wave = np.exp(-0.5 * (np.log2(_FREQUENCIES / centre) / octaves) ** 2)
    return gains


def _filtered(wave: Wave, gains: Wave) -> Wave:
    """The wave with the gain of each of its frequencies changed."""
    return np.fft.irfft(np.fft.rfft(wave) * gains, SAMPLES)

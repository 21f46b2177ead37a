"""AudioCNN is the published network: what makes it fast does not change what it computes or learns."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from audiocnn.model import AudioCNN, DroppingReLU, EncoderBlock, FirstEncoderBlock
from benchmarks.plain import PlainAudioCNN

MELS, FRAMES, CLASSES, BATCH = 40, 50, 6, 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def spectrograms(seed: int) -> Tensor:
    """(12, 40, 50) float32 dB values from -80 to 0 that vary smoothly, as real ones do."""
    noise = torch.randn(BATCH, 1, MELS, FRAMES, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.avg_pool2d(noise, 5, stride=1, padding=2).squeeze(1)
    return (smooth * 40 - 40).clamp(-80, 0)


def fast_and_plain(dtype: torch.dtype = torch.float32) -> tuple[AudioCNN, PlainAudioCNN]:
    torch.manual_seed(7)
    fast = AudioCNN(MELS, CLASSES, FRAMES, encoder_dropout=0.0, head_dropout=0.0)
    fast = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = PlainAudioCNN(MELS, CLASSES, dropout=0.0, head_dropout=0.0)
    plain.load_state_dict(fast.state_dict())
    return fast, plain.to(dtype)


def gradients(model: nn.Module, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    cross_entropy(model(x), labels).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}


def half_silent(seed: int) -> Tensor:
    """The same, but nothing is heard in the second half: every pool there chooses between equal values."""
    x = spectrograms(seed)
    x[:, :, FRAMES // 2 :] = -80
    return x


@pytest.mark.parametrize("clips", [spectrograms, half_silent])
def test_gradients_are_the_plain_networks_to_float32_rounding(clips: Callable[[int], Tensor]) -> None:
    fast, exact = fast_and_plain(torch.float64)
    _, rounded = fast_and_plain(torch.float32)
    labels = torch.arange(BATCH) % CLASSES
    x = clips(0)
    truth = gradients(exact, x.double(), labels)
    ours, plain = gradients(fast, x, labels), gradients(rounded, x, labels)
    for name in truth:
        if name.endswith("conv.bias"):  # normalisation cancels it: its gradient is rounding and nothing else
            continue
        scale = truth[name].norm()
        error, plain_error = (ours[name] - truth[name]).norm() / scale, (plain[name] - truth[name]).norm() / scale
        assert error < max(2e-5, 3 * plain_error), name


def test_the_loss_curve_is_the_plain_networks() -> None:
    fast, plain = fast_and_plain()
    curves = []
    for model in (fast, plain):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        curve = []
        for _ in range(12):
            loss = cross_entropy(model(spectrograms(0)), torch.arange(BATCH) % CLASSES)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            curve.append(loss.item())
        curves.append(torch.tensor(curve))
    assert curves[1][0] - curves[1][-1] > 0.01  # the curve moves
    torch.testing.assert_close(curves[0], curves[1], rtol=1e-4, atol=1e-4)
    for name, buffer in plain.named_buffers():
        if "running" in name:
            torch.testing.assert_close(dict(fast.named_buffers())[name], buffer, rtol=1e-3, atol=1e-3)


def test_evaluation_gives_the_plain_networks_logits() -> None:
    fast, plain = fast_and_plain()
    for model in (fast, plain):
        for step in range(3):
            model(spectrograms(step))
        model.eval()
    plain.load_state_dict(fast.state_dict())
    torch.testing.assert_close(fast(spectrograms(9)), plain(spectrograms(9)), rtol=1e-4, atol=1e-4)


def test_a_trained_network_can_be_exported() -> None:
    fast, _ = fast_and_plain()
    fast(spectrograms(0))
    exported = torch.export.export(fast.eval(), (spectrograms(1),))
    torch.testing.assert_close(exported.module()(spectrograms(2)), fast(spectrograms(2)))


def test_parameter_names_are_those_of_the_published_weights() -> None:
    fast, plain = fast_and_plain()
    assert set(fast.state_dict()) == set(plain.state_dict())
    assert sum(p.numel() for p in AudioCNN(128, 10, 173).parameters()) == 250_250


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_dropout_drops_its_share_and_its_scale_keeps_the_mean(share: float) -> None:
    torch.manual_seed(0)
    layer, x = DroppingReLU(share), torch.ones(64, 32, 64, 128)
    kept = [int(layer(x).count_nonzero()) for _ in range(4)]  # of 67 million: the standard error is 6e-5 at most
    assert abs(1 - sum(kept) / (4 * x.numel()) - share) < 1e-4
    assert layer(x).unique().tolist() == [0.0, 1.0]
    assert layer.scale == pytest.approx(1 / (1 - share), rel=1e-4)
    layer.eval()
    assert layer.scale == 1


def test_dropout_masks_differ_from_draw_to_draw_and_repeat_under_a_seed() -> None:
    layer, x = DroppingReLU(0.5), torch.ones(4, 3, 5, 7).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(first, layer(x))
    assert not torch.equal(first, second)
    assert first.is_contiguous(memory_format=torch.channels_last)
    layer.eval()
    assert torch.equal(layer(x), x)


@pytest.mark.parametrize("arranged", [Tensor.contiguous, Tensor.to_mkldnn], ids=["dense", "onednn"])
def test_relu_and_dropout_together_are_the_one_after_the_other(arranged: Callable[[Tensor], Tensor]) -> None:
    layer = DroppingReLU(0.5)
    torch.manual_seed(1)
    kept = layer(torch.ones(4, 3, 5, 7))
    x = torch.randn(4, 3, 5, 7, requires_grad=True)
    torch.manual_seed(1)
    dropped = layer(arranged(x))
    dropped = dropped.to_dense() if dropped.is_mkldnn else dropped
    assert torch.equal(dropped, x.relu() * kept)
    dropped.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, (x > 0) * kept)


@pytest.mark.parametrize("channels", [1, 16], ids=["first", "later"])
def test_a_block_scales_what_dropout_keeps(channels: int) -> None:
    def block(share: float) -> EncoderBlock:
        torch.manual_seed(3)
        pool = (2, 2)
        return FirstEncoderBlock(32, pool, share) if channels == 1 else EncoderBlock(channels, 32, pool, share)

    x = torch.randn(BATCH, channels, MELS, FRAMES, generator=torch.Generator().manual_seed(5))
    whole, dropped = (y.to_dense() if y.is_mkldnn else y for y in (block(0.0)(x), block(0.2)(x)))
    kept = dropped > 0
    assert 0.75 < kept.sum() / (whole > 0).sum() < 0.85
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.8, rtol=1e-4, atol=1e-5)


def test_the_smallest_spectrogram_that_the_pools_allow_works() -> None:
    assert AudioCNN(8, 3, 16)(torch.zeros(2, 8, 16)).shape == (2, 3)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a checkpoint of random weights that ComfyUI takes for one of Stable Diffusion 3: 11 MB, made in a
second, a step of the sampler in milliseconds on a CPU.

  tiny_checkpoint.py OUT.safetensors   the same bytes each time
"""

import array, json, math, os, random, struct, sys

# Facts of ComfyUI's detection, read in 0.8.0 and 0.21.0: `joint_blocks.0.context_block.attn.qkv.weight` says
# MMDiT, 16 channels without a scaling factor say SD3, the width of x_embedder.proj is 64 for each block.
# Without a known text encoder below `text_encoders.` every prompt becomes zeros, 4096 wide; an unknown key
# there is what makes the checkpoint have a CLIP at all. `taesd_decoder.1.weight` says a tiny autoencoder,
# with as many channels as that has inputs. No other size is free: a key that is missing would be left
# uninitialised, one of another shape refused.
WIDTH = 64
CHANNELS = 16
TEXT = 4096
VAE_WIDTH = 64


def linear(name, inputs, outputs):
    return {f'{name}.weight': (outputs, inputs), f'{name}.bias': (outputs,)}


def conv(name, inputs, outputs, bias=True):
    shapes = {f'{name}.weight': (outputs, inputs, 3, 3)}
    return {**shapes, f'{name}.bias': (outputs,)} if bias else shapes


def diffusion_model():
    block = 'joint_blocks.0'
    return {
        'x_embedder.proj.weight': (WIDTH, CHANNELS, 2, 2),
        'x_embedder.proj.bias': (WIDTH,),
        **linear('t_embedder.mlp.0', 256, WIDTH),
        **linear('t_embedder.mlp.2', WIDTH, WIDTH),
        **linear('context_embedder', TEXT, WIDTH),
        # The last block, here the only one, has of the text no more than what the picture looks at.
        **linear(f'{block}.context_block.attn.qkv', WIDTH, 3 * WIDTH),
        **linear(f'{block}.context_block.adaLN_modulation.1', WIDTH, 2 * WIDTH),
        **linear(f'{block}.x_block.attn.qkv', WIDTH, 3 * WIDTH),
        **linear(f'{block}.x_block.attn.proj', WIDTH, WIDTH),
        **linear(f'{block}.x_block.mlp.fc1', WIDTH, 4 * WIDTH),
        **linear(f'{block}.x_block.mlp.fc2', 4 * WIDTH, WIDTH),
        **linear(f'{block}.x_block.adaLN_modulation.1', WIDTH, 6 * WIDTH),
        **linear('final_layer.linear', WIDTH, 4 * CHANNELS),
        **linear('final_layer.adaLN_modulation.1', WIDTH, 2 * WIDTH),
    }


def residual(name):
    """Three convolutions; what is between them has no weights."""
    shapes = {}
    for n in (0, 2, 4):
        shapes |= conv(f'{name}.conv.{n}', VAE_WIDTH, VAE_WIDTH)
    return shapes


def autoencoder():
    """Both halves: three times by two in each direction, in numbered layers."""
    shapes = {**conv('taesd_encoder.0', 3, VAE_WIDTH), **residual('taesd_encoder.1')}
    layer = 2
    for _ in range(3):
        shapes |= conv(f'taesd_encoder.{layer}', VAE_WIDTH, VAE_WIDTH, bias=False)
        for n in (1, 2, 3):
            shapes |= residual(f'taesd_encoder.{layer + n}')
        layer += 4
    shapes |= conv(f'taesd_encoder.{layer}', VAE_WIDTH, CHANNELS)
    shapes |= conv('taesd_decoder.1', CHANNELS, VAE_WIDTH)
    layer = 3
    for _ in range(3):
        for n in (0, 1, 2):
            shapes |= residual(f'taesd_decoder.{layer + n}')
        shapes |= conv(f'taesd_decoder.{layer + 4}', VAE_WIDTH, VAE_WIDTH, bias=False)  # + 3 doubles the size
        layer += 5
    shapes |= {**residual(f'taesd_decoder.{layer}'), **conv(f'taesd_decoder.{layer + 1}', VAE_WIDTH, 3)}
    return {**shapes, 'vae_scale': (), 'vae_shift': ()}


def checkpoint():
    named = {f'model.diffusion_model.{key}': shape for key, shape in diffusion_model().items()}
    named |= {f'first_stage_model.{key}': shape for key, shape in autoencoder().items()}
    return {**named, 'text_encoders.none': (1,)}


# Of the vectors all others are zero. The decoder's last bias is the middle of its range, so that a picture is
# not half black.
VECTORS = {'first_stage_model.vae_scale': 1.0, 'first_stage_model.taesd_decoder.19.bias': 0.5}


def weights(key, shape, chance):
    """As large as keeps the size of what goes through a layer: no NaN after any number of steps, no grey."""
    count = math.prod(shape)
    if len(shape) < 2:
        return array.array('f', [VECTORS.get(key, 0.0)]) * count
    most = (2 * shape[0] / count) ** 0.5
    return array.array('f', [most * (2 * chance() - 1) for _ in range(count)])


def write(path, seed=1):
    """Safetensors: the length of a JSON header, the header, the tensors one after the other."""
    chance = random.Random(seed).random
    header, blobs, at = {}, [], 0
    for key, shape in checkpoint().items():
        values = weights(key, shape, chance)
        if sys.byteorder == 'big':
            values.byteswap()
        blobs.append(values.tobytes())
        header[key] = {'dtype': 'F32', 'shape': list(shape), 'data_offsets': [at, at + len(blobs[-1])]}
        at += len(blobs[-1])
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    unfinished = f'{path}.{os.getpid()}'
    with open(unfinished, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for blob in blobs:
            file.write(blob)
    os.replace(unfinished, path)


if __name__ == '__main__':
    if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    write(sys.argv[1])

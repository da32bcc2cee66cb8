// Runs and times steps of a training of the base model, for tools/benchmark_training.py:
// `training-probe [WEIGHTS] [--batch BATCH.safetensors] [--size HxW] [--objects N] [--steps N] [--threads N] [--no-dropout]
//  [--processor-time]`.
//
// WEIGHTS is a checkpoint of any form; without it the parameters are the initial ones. BATCH has `pixels` [1, 3, H, W], normalised,
// `boxes` [T, 4], cxcywh in 0...1, and `classes` [T]; without it pixels and objects are random. After one step to warm up come the
// timed ones, each as the trainer's: a model built from the parameters, forward, criterion, backward, AdamW.
// With --processor-time, seconds are those that the process spent on processors: with one thread, for a machine that is busy otherwise.
// Standard output has one line of JSON: median_seconds and seconds (all) of the timed steps, stages (median seconds of each), losses
// and gradient_norms of all steps from the first, peak_memory_bytes (resident, of the whole process) and threads.

import TestSupport

answer(Request(Array(CommandLine.arguments.dropFirst())), usage: Request.usage) { try Probe(request: $0).run() }

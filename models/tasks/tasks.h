#pragma once

#include <unroll/models/task.h>

// The applications of the program.

namespace unroll::inline UNROLL_ISA {

/// All of them, by name.
const std::vector<std::unique_ptr<Task>>& tasks();
/// The name of the task that a model file is of; empty if it does not say. Throws FileError for a file that cannot be
/// read.
std::string task_name_of(const std::string& model_file);
/// The task that a model file is of. Throws FileError when it is of none.
Task& task_of(const std::string& model_file);

/// Nucleotides: many to one the class of a sequence (splice junctions, promoters), many to many the next of a genome.
std::unique_ptr<Task> dna_task();
/// Which notes sound next, from a piece so far, and pieces of its own, as MIDI files: one to many.
std::unique_ptr<Task> music_task();
/// The names in a sentence, by the tag of each token: many to many of equal length.
std::unique_ptr<Task> ner_task();
/// What an image shows, read row by row, pixel by pixel, or in a fixed random order of pixels (Le, Jaitly and Hinton
/// 2015): a memory over 784 steps.
std::unique_ptr<Task> pixels_task();
/// `sentiment`: what a text thinks of something, from reviews in a table or from trees whose phrases have labels.
std::unique_ptr<Task> sentiment_task();
/// What is said: log mel energies, a convolution, bidirectional LSTM layers and connectionist temporal classification.
std::unique_ptr<Task> speech_task();
/// A sentence in another language: many to many, of unequal length.
std::unique_ptr<Task> translate_task();
/// Which activity a clip shows, from the positions of joints in each frame: many to one.
std::unique_ptr<Task> video_task();
/// Which speaker says a vowel, from cepstra of linear prediction (the Japanese vowels of Kudo, Toyama and Shimbo 1999):
/// many to one.
std::unique_ptr<Task> vowels_task();

}  // namespace unroll::inline UNROLL_ISA

// expect: conversion from .int. to|no viable conversion from .int.
#include <unroll/autograd/autograd.h>

using namespace unroll;

Var<float> wrong() {
  Var<float> v = 3;
  return v;
}

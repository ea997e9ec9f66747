"""Published results, to set one's own beside: each model's paper or repository."""

# By the benchmarks' names, in per cent; MME is the score for perception.
PUBLISHED = {
    'LLaVA-Phi (Phi-2 2.7B)': {
        'vqav2': 71.4, 'vizwiz': 35.9, 'scienceqa': 68.4, 'textvqa': 48.6, 'pope': 85.0,
        'mme': 1335.1, 'mmbench': 59.8, 'mmvet': 28.9,
    },
    'LLaVA-1.5 (Vicuna-7B)': {
        'vqav2': 78.5, 'vizwiz': 50.0, 'scienceqa': 66.8, 'textvqa': 58.2, 'pope': 85.9,
        'mme': 1510.7, 'mmbench': 64.3, 'mmvet': 30.5,
    },
    'LLaVA-1.5 (Vicuna-13B)': {
        'vqav2': 80.0, 'vizwiz': 53.6, 'scienceqa': 71.6, 'textvqa': 61.3, 'pope': 85.9,
        'mme': 1531.3, 'mmbench': 67.7, 'mmvet': 35.4,
    },
    'MobileVLM 3B (LLaMA 2.7B)': {
        'scienceqa': 61.0, 'textvqa': 47.5, 'pope': 84.9, 'mme': 1288.9, 'mmbench': 59.6,
    },
    'TinyLLaVA 3.1B (SigLIP, Phi-2)': {
        'vqav2': 80.1, 'scienceqa': 73.0, 'textvqa': 60.3, 'pope': 87.2, 'mme': 1466.4,
        'mmvet': 37.5,
    },
    'Mipha 3B (SigLIP, Phi-2)': {
        'vqav2': 81.3, 'scienceqa': 70.9, 'textvqa': 56.6, 'pope': 86.7, 'mme': 1488.9,
        'mmbench': 69.7, 'mmvet': 32.1,
    },
}  # fmt: skip

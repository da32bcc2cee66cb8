// `detect train`: a detector of one's own.

import ArgumentParser
import DeformDETR

struct TrainCommand: RunnableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a detector on labelled photos, or on generated images of codes.",
        usage: """
            detect train --images <folder> --annotations <file> -o <folder> [options]
            detect train --codes <n> -o <folder> [options]
            detect train --resume <folder> [options]
            """,
        discussion: """
            Learns from the images that a COCO annotation file lists, or from images of machine-readable codes that it \
            makes itself. Begins with --weights (any checkpoint, also of other classes), with --backbone (a ResNet), or \
            with nothing; what does not fit or is missing is made anew, and the first lines say what.

            OUTPUT FOLDER:
              best.bin                the weights with the best AP so far
              last.bin                those of the last epoch
              metrics.jsonl           losses and scores, a line each
              curves.png              the same as a picture
              validation.jpg          what is found in some validation images
              checkpoint.safetensors  all that --resume needs

            Ctrl-C ends after the step in flight, and saves; a second one ends at once. --resume <folder>, from the \
            same place, goes on as if nothing had happened, bit by bit with the same number of threads. Options given \
            with --resume replace those of the training, as --epochs 100.

            EXAMPLES:
              detect train --images train/ --annotations train.json \\
                --val-images val/ --val-annotations val.json \\
                --backbone resnet18.pth --output runs/first
                from photos to a detector, with ImageNet's backbone
              detect photos/ -w runs/first/best.bin
                the detector at work
              detect train --resume runs/first --epochs 100
                more of the same
              detect train --images train/ --annotations train.json \\
                --weights w.bin --epochs 10 --output runs/other
                a detector that exists, to other classes
              detect train --codes 4000 --output runs/codes
                from generated images of codes

            EXIT STATUS:
              0 trained, 2 could not train, 64 wrong call,
              130 interrupted and saved (128 + the signal's number)
            """)

    @OptionGroup(title: "DATA") var data: TrainingDataArguments
    @OptionGroup(title: "MODEL") var model: TrainingModelArguments
    @OptionGroup(title: "COURSE") var course: TrainingCourseArguments
    @OptionGroup(title: "AUGMENTATION") var augmentation: AugmentationArguments
    @OptionGroup(title: "OUTPUT") var result: TrainingOutputArguments
    @OptionGroup(title: "MESSAGES") var message: MessageArguments

    func execute() throws -> Int32 {
        try TrainingRun(TrainingSession(self)).run()
    }
}

/// What is learnt from, and what is judged with.
struct TrainingDataArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp("The folder that the annotations' file names begin in.", valueName: "folder"),
        completion: .directory)
    var images: String?

    @Option(help: ArgumentHelp("The COCO annotation file to learn from.", valueName: "file"), completion: .file())
    var annotations: String?

    @Option(
        help: ArgumentHelp(
            "Learn from generated images of codes in place of a dataset, without end: n samples are called an epoch.",
            valueName: "n"))
    var codes: Int?

    @Option(
        help: ArgumentHelp(
            "How many samples each generated image serves for, varied otherwise each time. (default: 3)", valueName: "n"
        ))
    var codesUse: Int?

    @Option(
        help: ArgumentHelp(
            "The longer side of generated images in pixels, or the range that it is drawn from. (default: 320-1000)",
            valueName: "n|n-n"))
    var codesSize: String?

    @Option(
        help: ArgumentHelp("The folder of validation images. (default: as --images)", valueName: "folder"),
        completion: .directory)
    var valImages: String?

    @Option(
        help: ArgumentHelp(
            "The COCO annotation file to validate with. Without one, best.bin is the last epoch's.", valueName: "file"),
        completion: .file())
    var valAnnotations: String?

    @OptionGroup var decoding: DecodingArguments

    /// An option about generated images, if one is given.
    var codesOption: String? { codesUse != nil ? "--codes-use" : codesSize != nil ? "--codes-size" : nil }
}

/// What learns.
struct TrainingModelArguments: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Begin with this checkpoint and its kind of model: w.bin, .safetensors, .pth or .bin; told apart by content.",
            valueName: "file"),
        completion: .file())
    var weights: String?

    @Option(
        help: ArgumentHelp(
            "Begin with this backbone: the state dict of a torchvision ResNet, .pth or .safetensors.", valueName: "file"
        ),
        completion: .file())
    var backbone: String?

    @Option(
        help: "The kind of model, without --weights: small (narrow, shallow, two-stage), or a published variant.")
    var model: ModelPreset = .small

    @Option(help: ArgumentHelp("Channels of the transformer, a multiple of 32. (default: the model's)", valueName: "n"))
    var width: Int?

    @Option(help: ArgumentHelp("Layers of the encoder. (default: the model's)", valueName: "n"))
    var encoderLayers: Int?

    @Option(help: ArgumentHelp("Layers of the decoder. (default: the model's)", valueName: "n"))
    var decoderLayers: Int?

    @Option(help: ArgumentHelp("Object queries: the most objects in an image. (default: the model's)", valueName: "n"))
    var queries: Int?

    @Option(help: ArgumentHelp("Feature levels. (default: the model's)", valueName: "n"))
    var levels: Int?

    @Option(
        help: ArgumentHelp(
            "Columns of the logits, at least one for each class of the data. (default: as many)", valueName: "n"))
    var numClasses: Int?

    @Option(
        help: """
            The backbone's batch normalisation: frozen, or learning from each batch (batch), as a backbone needs that starts \
            from nothing. (default: frozen; batch without --weights and --backbone)
            """)
    var batchNorm: NormalizationChoice?

    /// An option that decides what the model is, if one is given: a training that goes on has its model.
    var shapingOption: String? {
        let options: [(String, Bool)] = [
            ("--weights", weights != nil), ("--backbone", backbone != nil), ("--model", model != .small),
            ("--width", width != nil), ("--encoder-layers", encoderLayers != nil),
            ("--decoder-layers", decoderLayers != nil), ("--queries", queries != nil), ("--levels", levels != nil),
            ("--num-classes", numClasses != nil),
        ]
        return options.first { $0.1 }?.0
    }
}

/// How it learns.
struct TrainingCourseArguments: ParsableArguments {
    @Option(help: ArgumentHelp("How often all images are learnt from.", valueName: "n"))
    var epochs = 50

    @Option(
        help: ArgumentHelp(
            "Images in a step; those at an epoch's end that fill none wait for another epoch.", valueName: "n"))
    var batchSize = 8

    @Option(help: ArgumentHelp("The largest learning rate of AdamW.", valueName: "rate"))
    var learningRate = 2e-4

    @Option(
        help: ArgumentHelp(
            "The backbone's. (default: a tenth of --learning-rate; all of it for one that starts from nothing)",
            valueName: "rate"))
    var backboneLearningRate: Double?

    @Option(help: ArgumentHelp("Weight decay.", valueName: "rate"))
    var weightDecay = 1e-4

    @Option(help: ArgumentHelp("Longer gradients are shortened to this norm; 0 for no limit.", valueName: "norm"))
    var clip = 0.1

    @Option(
        help: ArgumentHelp(
            "Steps until the learning rate is whole. (default: 200, but no more than a tenth of the training)",
            valueName: "n"))
    var warmup: Int?

    @Option(help: "How the learning rate falls: to a tenth at once (step), or to a hundredth along a cosine.")
    var schedule: ScheduleChoice = .step

    @Option(
        help: ArgumentHelp("The share of the training after which the learning rate falls, 0 to 1.", valueName: "share")
    )
    var fallAfter = 0.8

    @Option(
        help: ArgumentHelp(
            "What share of itself the running mean of the weights, which the .bin files have, keeps at a step; 0 for none.",
            valueName: "decay"))
    var averageDecay = 0.999

    @Option(
        help: ArgumentHelp("The chance that dropout drops an element, 0 to 0.9. (default: 0.1)", valueName: "chance"))
    var dropout: Double?

    @Option(
        help: """
            Which part of the backbone does not learn: none, its stem, the stem and layer1, or all. (default: layer1; none \
            without --weights and --backbone)
            """)
    var freeze: FrozenChoice?

    @Option(
        help: "What products are computed in: f32, or bf16 (faster where the processor has it; weights stay f32).")
    var precision: TrainingPrecision = .f32

    @Option(
        help: ArgumentHelp(
            "Decides all that is random: first weights, order, variation, dropout, codes.", valueName: "number")
    )
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Processor threads. (default: all processors)", valueName: "n"))
    var threads: Int?
}

/// How samples are varied.
struct AugmentationArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The shorter side that the network sees. (default: what --weights states, or 480)", valueName: "pixels"))
    var size: Int?

    @Option(
        help: ArgumentHelp("But the longer side no more than this. (default: 5/3 of --size)", valueName: "pixels"))
    var maxSize: Int?

    @Option(
        help: """
            How images are varied: not at all (none), as published (flips, sizes, crops), colours too (colors), or colours, \
            quarter turns and upside down too (turned), for what has no up.
            """)
    var augment: AugmentationChoice = .published
}

/// What is written, and when.
struct TrainingOutputArguments: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Where files are written; another training there is refused.", valueName: "folder"),
        completion: .directory)
    var output: String?

    @Option(
        help: ArgumentHelp(
            """
            What the weights state, and validations use: of two boxes of a class whose IoU is above this, 0 to 1, the one \
            with the higher score counts; 1 keeps all. (default: what --weights states, or 0.8)
            """, valueName: "iou"))
    var nms: Float?

    @Option(
        help: ArgumentHelp("Go on with the training in this folder, with its options.", valueName: "folder"),
        completion: .directory)
    var resume: String?

    @Option(help: ArgumentHelp("Validate after every so many epochs, and after the last.", valueName: "n"))
    var validateEvery = 1

    @Option(
        help: ArgumentHelp(
            "Write checkpoint.safetensors every so many minutes, besides after each epoch.", valueName: "minutes"))
    var saveEvery = 5.0
}
